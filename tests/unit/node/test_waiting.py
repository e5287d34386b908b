"""One way to wait: bounded, and in the end with the reason."""

from __future__ import annotations

import pytest
from hardway import waiting
from hardway.here import Failure, Terminal


def test_patience_ends_with_the_reason(no_waiting: list[float]) -> None:
    def test() -> bool:
        raise Failure("127.0.0.1:7443: refused")

    with pytest.raises(Failure, match=r"the API server is not ready: 127\.0\.0\.1:7443: refused"):
        waiting.until("the API server is not ready", test, 30)
    assert sum(no_waiting) == 30


def test_a_no_is_a_reason_too(no_waiting: list[float]) -> None:
    answers = iter([False, False, True])
    waiting.until("not yet", lambda: next(answers), 30)
    assert no_waiting == [1, 1]
    with pytest.raises(Failure, match=r"^not yet$"):
        waiting.until("not yet", lambda: False, 3)


def test_each_failure_but_the_last_is_said(no_waiting: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise Failure("no")

    with pytest.raises(Failure, match="no"):
        waiting.patiently(fail, 4, pause=2, say="etcd: ")
    assert capsys.readouterr().out == "etcd: no\n" * 2
    assert no_waiting == [2, 2]


def test_what_never_will_succeed_is_not_waited_for(no_waiting: list[float]) -> None:
    def end() -> None:
        raise Terminal("for good")

    with pytest.raises(Terminal):
        waiting.patiently(end, 30)
    assert no_waiting == []
