"""What a launch costs with many nodes: requests per node, memory of what was said, within the account's limits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.scale import runs
from tests.scale.ghosts import REAL

MOST_EACH = 4
FEW, MANY = 12, 36


@dataclass(frozen=True)
class Launched:
    """One cluster that is up: its world, what was asked of the account and of the store for it, and what was said."""

    haunt: runs.Haunt
    asked: Counter[str]
    stored: int
    run: runs.Run


@contextmanager
def launched(directory: Path, nodes: int, **unkind: int) -> Iterator[Launched]:
    project = runs.rendered(directory / "project", nodes)
    with runs.haunting(directory, project, replace(REAL, **unkind)) as haunt:  # type: ignore[arg-type]
        run = haunt.gen("launch", "--yes", "--timeout", "4h")
        assert run.code == 0, run.err
        assert len(haunt.world.up()) == runs.CONTROL_PLANES
        assert all(one.joined for one in haunt.world.machines.values())
        yield Launched(haunt, asked(haunt), haunt.world.stored.total(), run)


def asked(haunt: runs.Haunt) -> Counter[str]:
    found: Counter[str] = Counter()
    for (method, path, _), count in haunt.world.asked.items():
        found[f"{method} {path}"] += count
    return found


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launched]:
    with launched(tmp_path_factory.mktemp("few"), FEW) as found:
        yield found


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launched]:
    with launched(tmp_path_factory.mktemp("many"), MANY) as found:
        yield found


def test_a_node_costs_less_than_four_requests(few: Launched, many: Launched) -> None:
    assert many.asked.total() < MOST_EACH * MANY
    assert many.asked.total() - few.asked.total() < MOST_EACH * (MANY - FEW)
    grows = set(many.asked - few.asked)
    assert grows <= {"POST /v2/droplets", "GET /v2/droplets", "GET /v2/droplets/…", "PUT /v2/vpcs/…"}, (
        "nothing but orders, looks and rosters grows with the number of nodes"
    )
    assert many.asked["POST /v2/droplets"] - few.asked["POST /v2/droplets"] == MANY - FEW


def test_the_store_is_asked_no_more_than_in_proportion(few: Launched, many: Launched) -> None:
    assert many.stored / MANY <= few.stored / FEW


def test_what_is_said_of_many_is_not_much_more(many: Launched) -> None:
    lines = many.run.err.splitlines()
    assert "  create  droplet  node01 and 35 more  (s-2vcpu-4gb in fra1)" in lines
    assert len(lines) < 150
    assert any(line.startswith(f"{MANY} nodes: ") for line in lines)


def test_many_that_are_up_are_looked_at_with_few_requests(many: Launched) -> None:
    for words, most in ((("status",), 12), (("launch", "--yes"), 40)):
        before = asked(many.haunt).total()
        run = many.haunt.gen(*words)
        assert run.code == 0, run.err
        assert asked(many.haunt).total() - before < most


def test_many_are_destroyed_with_a_few_requests_each(many: Launched) -> None:
    before = asked(many.haunt)
    run = many.haunt.gen("destroy", "--yes", "orderbook")
    assert run.code == 0, run.err
    assert many.haunt.world.account.living() == []
    found = asked(many.haunt) - before
    assert found["DELETE /v2/droplets/…"] == found["GET /v2/droplets/…"] == MANY
    assert found["DELETE /v2/tags/…"] == 2 * MANY + 1
    assert found.total() < 4 * MANY + 60


def test_a_launch_waits_for_the_minutes_limit(tmp_path: Path) -> None:
    with launched(tmp_path, 5, requests_per_minute=20) as found:
        world = found.haunt.world
        assert world.limited
        minutes = (world.now() - world.began) / 60
        assert found.asked.total() - len(world.limited) <= 20 * (minutes + 1)
