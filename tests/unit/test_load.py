"""The judge of the end-to-end load: what was acknowledged has to be there, once, in the order in which it was."""

from __future__ import annotations

import pytest

from tests.e2e.load import Write, account


def write(number: int, start: float, end: float, outcome: str = "acknowledged") -> Write:
    return Write(f"w{number}", start, end, outcome, number if outcome == "acknowledged" else 0)


WRITES = [write(1, 0.0, 0.1), write(2, 0.2, 0.3), write(3, 0.4, 2.4, "TimeoutError"), write(4, 2.5, 2.6)]
THERE = [("w1", 1), ("w2", 2), ("w4", 4)]


def test_all_that_was_acknowledged_is_there() -> None:
    found = account(WRITES, THERE)
    assert (found.count, found.failed, found.lost, found.disordered, found.why) == (4, 1, 0, 0, ("TimeoutError",))
    assert found.gap == pytest.approx(2.3)
    assert found.is_kept
    assert str(found) == "4 written, 1 failed (TimeoutError), 0 lost, longest gap 2.3 s"


def test_what_was_not_acknowledged_may_be_there_or_not() -> None:
    assert account(WRITES, [*THERE, ("w3", 3)]).is_kept


def test_what_is_gone_is_lost() -> None:
    found = account(WRITES, THERE[:1] + THERE[2:])
    assert (found.lost, found.is_kept) == (1, False)


def test_what_was_made_anew_is_out_of_order() -> None:
    found = account(WRITES, [("w1", 7), *THERE[1:]])
    assert (found.disordered, found.is_kept) == (1, False)
    assert "1 out of order" in str(found)


def test_a_store_that_goes_back_is_seen() -> None:
    """Two clusters, or one restored from the past, give a later write an earlier place."""
    later = Write("w5", 3.0, 3.1, "acknowledged", 2)
    assert account([*WRITES, later], [*THERE, ("w5", 2)]).disordered == 1


def test_writes_at_the_same_time_may_have_either_order() -> None:
    assert account([write(2, 0.0, 0.5), write(1, 0.1, 0.4)], [("w1", 1), ("w2", 2)]).is_kept


def test_a_store_that_tells_no_order_is_asked_for_none() -> None:
    assert account(WRITES, [(name, 0) for name, _ in THERE]).is_kept


def test_what_is_there_twice_is_no_history() -> None:
    with pytest.raises(AssertionError, match="written twice"):
        account(WRITES, [*THERE, ("w1", 1)])


def test_nothing_acknowledged_proves_nothing() -> None:
    assert not account([write(1, 0, 1, "TimeoutError")], []).is_kept
