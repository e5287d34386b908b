"""Patience has an end, and says why nothing came of it."""

from __future__ import annotations

import pytest
from hardway import waiting
from hardway.here import Failure, Terminal


def test_gives_what_comes_of_it(no_waiting: list[float]) -> None:
    heard: list[str] = []

    def action() -> str:
        if len(no_waiting) < 2:
            raise Failure(f"not at {sum(no_waiting)}")
        return "done"

    assert waiting.patiently(action, 30, 2, say=heard.append) == "done"
    assert no_waiting == [2, 2]
    assert heard == ["not at 0", "not at 2"]


def test_the_last_failure_is_raised_and_not_said(no_waiting: list[float]) -> None:
    heard: list[str] = []

    def action() -> None:
        raise Failure(f"not at {sum(no_waiting)}")

    with pytest.raises(Failure, match="not at 30"):
        waiting.patiently(action, 30, 10, say=heard.append)
    assert heard == ["not at 0", "not at 10", "not at 20"]


def test_other_failures_are_not_waited_for(no_waiting: list[float]) -> None:
    def action() -> None:
        raise Failure("at once")

    with pytest.raises(Failure, match="at once"):
        waiting.patiently(action, 30, 2, on=Terminal)
    assert no_waiting == []
