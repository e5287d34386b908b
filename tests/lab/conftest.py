"""Gives one empty lab to all tests here, and takes it away again."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from generator.lab.machines import host
from generator.lab.state import State, name_of
from tests.e2e.harness import host_facts


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything here as end to end, and run it before the tests that keep a whole cluster up."""
    able = os.geteuid() == 0 and shutil.which("systemd-nspawn") and shutil.which("nft")
    ours = [item for item in items if Path(__file__).parent in item.path.parents]
    for item in ours:
        item.add_marker(pytest.mark.e2e)
        if not able:
            item.add_marker(pytest.mark.skip(reason="needs root, systemd-nspawn and nft"))
    items[:] = [*ours, *(item for item in items if item not in ours)]


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[State]:
    """A lab's state with nothing in it; at the end the host is as it was."""
    labs = tmp_path_factory.mktemp("labs")
    state = State(name=name_of(labs), labs=labs, cache=State.named().cache)
    before = host_facts(state)
    try:
        yield state
    finally:
        host.cleanup(state)
    after = host_facts(state)
    assert {name: set(after[name]) ^ set(before[name]) for name in before} == {name: set() for name in before}
