"""What a step waited for is remembered, within bounds, and never at the cost of the step."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hardway import here, timeline
from hardway.here import Failure
from hardway.waiting import patiently


def test_a_wait_is_told_by_what_failed_first(monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    moments = iter((10.0, 13.5))
    monkeypatch.setattr(timeline, "now", lambda: next(moments))
    monkeypatch.setattr(sys, "argv", ["hardway", "kubelet"])
    reasons = iter(("refused\nat once", "not ready"))

    def act() -> int:
        if reason := next(reasons, ""):
            raise Failure(reason)
        return 7

    assert patiently(act, 60, 0) == 7
    assert list(timeline.waits()) == [("kubelet.service", 10.0, 13.5, "refused at once")]


@pytest.mark.parametrize("succeeds", [True, False])
def test_what_can_not_be_remembered_harms_nothing(
    monkeypatch: pytest.MonkeyPatch, root: Path, no_waiting: list[float], succeeds: bool
) -> None:
    here.write(timeline.WAITS.rpartition("/")[0], "no directory")
    moments = iter((10.0, 13.5))
    monkeypatch.setattr(timeline, "now", lambda: next(moments))

    def act() -> str:
        if succeeds and no_waiting:
            return "done"
        raise Failure("not yet")

    if succeeds:
        assert patiently(act, 60, 1) == "done"
    else:
        with pytest.raises(Failure, match="not yet"):
            patiently(act, 60, 1)


def test_what_waits_for_ever_fills_nothing(monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    monkeypatch.setattr(timeline, "now", lambda: 1000.0)
    for _ in range(2000):
        timeline.note("bootstrap", "x" * 500, 1.0)
    assert here.at(timeline.WAITS).stat().st_size < 2 * timeline.LARGEST_BYTES
