"""What a load tells of its attempts is what happened."""

from __future__ import annotations

import pytest

from tests.upgrade.load import Attempt, account, nowhere
from tests.upgrade.older import ROOT, SINCE


def attempts(*bad: int, count: int = 20, start: float = 100.0) -> list[Attempt]:
    """Give attempts ten times a second, of which some failed."""
    return [Attempt(start + number / 10, "timeout" if number in bad else "") for number in range(count)]


@pytest.mark.parametrize(
    ("bad", "failed", "gap"),
    [((), 0, 0.1), ((3,), 1, 0.2), ((3, 4, 5), 3, 0.4), ((3, 9), 2, 0.2), (tuple(range(20)), 20, float("inf"))],
)
def test_failures_and_the_longest_gap_are_counted(bad: tuple[int, ...], failed: int, gap: float) -> None:
    found = account(attempts(*bad))
    assert (found.count, found.failed, found.gap) == (20, failed, pytest.approx(gap))
    assert found.why == ((f"{failed} × timeout",) if failed else ())


def test_the_order_in_which_attempts_end_does_not_matter() -> None:
    assert account(attempts(3)[::-1]) == account(attempts(3))


@pytest.mark.parametrize(
    ("one", "other", "half_seconds"),
    [
        ((), (), 0),
        (range(20), (), 0),
        (range(5), range(5, 10), 0),
        (range(5), range(5), 1),
        (range(10), range(5, 15), 1),
        (range(20), range(20), 4),
    ],
)
def test_only_what_failed_everywhere_at_once_counts_as_nowhere(one: range, other: range, half_seconds: int) -> None:
    assert nowhere([attempts(*one), attempts(*other)]) == half_seconds


def test_nothing_that_the_older_ingress_does_not_know_is_left() -> None:
    template = (ROOT / "addons" / "ingress" / "daemon-set.yaml.j2").read_text()
    left, taken = SINCE.subn("", template)
    assert taken
    assert "strategy" not in left
    assert "- --ping=true\n" in left
