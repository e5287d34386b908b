"""The README's two commands one after the other, from two clones: demo, tests, demo, each in its own lab."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from generator.lab.machines import borrowed
from generator.lab.state import State, name_of
from tests.e2e.harness import host_facts, run

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.long


@pytest.fixture
def clones(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """Clone the project twice; what their labs leave is taken down."""
    places = (tmp_path / "one", tmp_path / "two")
    labs = [State.named(name_of(place / "demo")) for place in places]
    before, limit = host_facts(labs[0]), borrowed.WATCHERS.read_text()
    for place in places:
        subprocess.run(["git", "clone", "-q", str(ROOT), str(place)], check=True)
    yield places
    for place in places:
        run(".venv/bin/gen", "lab", "--name", name_of(place / "demo"), "down", cwd=place)
    assert host_facts(labs[0]) == before
    assert borrowed.others(labs[0]) or borrowed.WATCHERS.read_text() == limit


def test_demo_test_demo(clones: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HARDWAY_LAB", "HARDWAY_CLUSTER", "VIRTUAL_ENV"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir("/")
    one, two = clones
    run("scripts/demo", cwd=one)
    run("scripts/test", "-q", "-m", "e2e", "tests/e2e/test_1_cluster.py", cwd=one, timeout=1800)
    run("scripts/demo", cwd=two)
    found = json.loads(run(".venv/bin/gen", "lab", "list", "--json", cwd=one).stdout)
    ours = {lab["made_in"]: lab for lab in found if lab["made_in"] in (str(one / "demo"), str(two / "demo"))}
    assert [lab["droplets"] for lab in ours.values()] == [3, 3]
    assert len({lab["proxy"] for lab in ours.values()}) == 2
    for place in clones:
        served = run(f"{place}/.venv/bin/gen", "status", "--lab", "--json", cwd=place / "demo")
        assert json.loads(served.stdout)
    run(f"{one}/.venv/bin/gen", "destroy", "--lab", "--yes", "orderbook", cwd=one / "demo")
    run(f"{one}/.venv/bin/gen", "lab", "down", cwd=one / "demo")
    assert json.loads(run(f"{two}/.venv/bin/gen", "lab", "status", "--json", cwd=two / "demo").stdout)["droplets"]
    assert "HARDWAY_LAB" not in os.environ
