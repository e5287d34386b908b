"""The random walk is the same for the same seed, reaches every fault, and never loses the database's own node."""

from __future__ import annotations

from tests.chaos.steps import ALL
from tests.chaos.walk import FAULTS, walk


def taken(seed: int, count: int) -> list[tuple[str, str, float]]:
    step = walk(seed, ALL[0])
    found = [step() for _ in range(count)]
    return [(fault.name, node, chance.random()) for fault, node, chance in found]


def test_the_same_seed_is_the_same_walk() -> None:
    assert taken(7, 50) == taken(7, 50)
    assert taken(7, 50) != taken(8, 50)


def test_every_fault_comes_and_the_database_stays() -> None:
    steps = taken(1, 400)
    assert {name for name, _, _ in steps} == {fault.name for fault in FAULTS}
    losing = {fault.name for fault in FAULTS if fault.loses}
    assert {node for name, node, _ in steps if name in losing} == set(ALL[1:])
    assert {node for name, node, _ in steps if name not in losing} == set(ALL)
