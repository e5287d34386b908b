"""What ends is said from a month before on, and what has ended is no secret either."""

from __future__ import annotations

from datetime import timedelta

import pytest

from generator.clock import stamp
from generator.plan.ending import Ending, ending
from generator.plan.inventory import Inventory, KeyFact
from tests.keyring import CLUSTER_ID, NOW

DAY = timedelta(days=1)


def inventory(*days: float) -> Inventory:
    keys = [KeyFact(f"key{number}", expires=stamp(NOW + DAY * each)) for number, each in enumerate(days)]
    return Inventory(CLUSTER_ID, "orderbook", {}, (*keys, KeyFact("wireguard", public="x")))


@pytest.mark.parametrize(
    ("days", "words"),
    [
        ((31, 3650), None),
        ((29.5, 31), "the certificate `key0` ends in 29 days, at "),
        ((31, 2.1, 20), "the certificate `key1` ends in 2 days, at "),
        ((-3.1, 31), "the certificate `key0` ended 3 days ago, at "),
        ((0.01, 31), "the certificate `key0` ends in 0 days, at "),
        ((), None),
    ],
)
def test_the_first_to_end_is_named_from_a_month_before_on(days: tuple[float, ...], words: str | None) -> None:
    found = ending(inventory(*days), NOW)
    assert (found is not None) == (words is not None)
    assert words is None or str(found).startswith(words)


def test_the_others_are_counted() -> None:
    assert str(ending(inventory(5, 4, 3, 99), NOW)).endswith("; 2 more end soon")
    assert isinstance(ending(inventory(99), NOW, DAY * 100), Ending)
    assert ending(None, NOW) is None


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("nodes/node02/kubelet", "then recreate node02"),
        ("admin", "for you alone"),
        ("etcd-peer-ca", "make another cluster in time"),
    ],
)
def test_what_to_do_follows_from_whose_it_is(path: str, words: str) -> None:
    row = KeyFact(path, expires=stamp(NOW + DAY))
    found = ending(Inventory(CLUSTER_ID, "orderbook", {}, (row,)), NOW)
    assert found is not None
    assert words in found.hint("orderbook")
