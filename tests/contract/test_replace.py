"""Replacing nodes of a living cluster: guards, order, proof, and a kill after every change."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from generator.cluster.channel import PREFIX
from generator.pki.store import KeyStore
from generator.plan.project import Project
from tests.contract.operating import Outcome, gen, render_tutorial, versitygw
from tests.contract.world import World, running

CHANGES = 40
"""A replacement changes no more than this many things, requests to Kubernetes among them."""


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("project")
    render_tutorial(directory)
    return directory


@pytest.fixture
def project(rendered: Path, tmp_path: Path) -> Project:
    shutil.copytree(rendered, tmp_path / "project")
    return Project.load(tmp_path / "project" / "cluster.yaml")


@pytest.fixture
def world(project: Project, tmp_path: Path) -> Iterator[World]:
    """A cluster that serves."""
    with running(tmp_path, versitygw()) as made:
        made.inhabit(project.plan, KeyStore.open(project.keys_path, project.plan, project.inventory))
        ok(gen(made, project, "launch", "--yes"))
        made.kubernetes.pods |= {"default/web": "node02", "default/other": "node01"}
        yield made


def ok(outcome: Outcome) -> Outcome:
    assert outcome.code == 0, outcome.err
    return outcome


def droplets(world: World) -> dict[str, int]:
    found = {droplet.name: droplet.id for droplet in world.account.living()}
    assert len(found) == len(world.account.living())
    return found


def is_whole(world: World) -> None:
    """Assert that all is up, votes, and takes pods, and that no mark is left."""
    little = world.kubernetes
    assert {machine.droplet.name for machine in world.up()} == set(droplets(world))
    assert world.voters == droplets(world)
    assert {name: node["spec"] for name, node in little.nodes.items()} == {name: {} for name in droplets(world)}
    # What a killed asker has asked is swept once its time is over.
    assert [name for name in little.maps if not name.startswith(PREFIX)] == []
    assert not little.retired & set(droplets(world).values())


def test_one_is_replaced_and_the_others_are_left_alone(world: World, project: Project) -> None:
    before = droplets(world)
    world.kubernetes.asked.clear()
    events = [
        json.loads(line) for line in ok(gen(world, project, "replace", "node02", "--yes", "--json")).out.splitlines()
    ]
    after = droplets(world)
    assert {name for name in before if before[name] != after[name]} == {"node02"}
    is_whole(world)
    assert world.kubernetes.pods == {"default/other": "node01"}
    verbs = [verb for verb, _ in world.kubernetes.asked if verb in ("retire", "remove")]
    assert verbs == ["retire", "remove"]
    done = [event["step"] for event in events if event["state"] == "done"]
    assert [step for step in done if step in ("cordon", "drain", "retire", "leave", "delete", "make", "uncordon")] == [
        *("cordon", "drain", "retire", "leave", "delete", "make", "uncordon")
    ]


def test_the_leader_hands_over_first(world: World, project: Project) -> None:
    world.leader = "node02"
    ok(gen(world, project, "replace", "node02", "--yes"))
    assert ("lead", "node02") in world.kubernetes.asked
    is_whole(world)


def test_the_same_node_twice_in_a_row(world: World, project: Project) -> None:
    seen = [droplets(world)["node01"]]
    for _ in range(2):
        ok(gen(world, project, "replace", "node01", "--yes"))
        seen.append(droplets(world)["node01"])
        is_whole(world)
    assert len(set(seen)) == 3


def test_one_whose_machine_is_gone(world: World, project: Project) -> None:
    world.destroy("node03")
    ok(gen(world, project, "replace", "node03", "--yes"))
    is_whole(world)


@pytest.mark.parametrize("number", range(1, CHANGES + 1))
def test_killed_after_any_change_and_run_again(world: World, project: Project, number: int) -> None:
    before = droplets(world)
    killed = gen(world, project, "replace", "node02", "--yes", die_at=number)
    if killed.code == 0:
        assert world.fate.count < number
    else:
        ok(gen(world, project, "replace", "node02", "--yes"))
    after = droplets(world)
    assert {name for name in before if before[name] != after[name]} == {"node02"}
    is_whole(world)


def test_while_another_is_down_nothing_is_replaced(world: World, project: Project) -> None:
    before = droplets(world)
    for machine in world.machines.values():
        if machine.droplet.name == "node03":
            machine.ready = False
    outcome = gen(world, project, "replace", "node02", "--yes")
    assert (outcome.code, world.fate.count) == (1, 0)
    assert (
        "error: node03: is not Ready, and node02 would be away as well\n  hint: `gen replace node03` first"
        in outcome.err
    )
    assert droplets(world) == before


def test_a_node_that_is_none(world: World, project: Project) -> None:
    outcome = gen(world, project, "replace", "node09", "--yes")
    assert outcome.code == 1
    assert "error: node09: no such node\n  hint: the nodes are node01, node02, node03" in outcome.err


def test_nobody_is_asked_without_a_terminal(world: World, project: Project) -> None:
    before = droplets(world)
    outcome = gen(world, project, "replace", "node02")
    assert (outcome.code, droplets(world), world.kubernetes.maps) == (1, before, {})
    assert "nobody is there to be asked" in outcome.err


def test_the_only_copy_of_data_stays_without_a_word(world: World, project: Project) -> None:
    affinity = {
        "required": {
            "nodeSelectorTerms": [
                {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["node02"]}]}
            ]
        }
    }
    volume = {
        "metadata": {"name": "v"},
        "spec": {
            "capacity": {"storage": "8Gi"},
            "claimRef": {"namespace": "order-book", "name": "data-postgres-0"},
            "local": {"path": "/data"},
            "nodeAffinity": affinity,
        },
    }
    world.kubernetes.lists["/api/v1/persistentvolumes"] = [volume]
    world.kubernetes.lists["/api/v1/namespaces/order-book/pods"] = []
    outcome = gen(world, project, "replace", "node02", "--yes")
    assert outcome.code == 1
    assert "error: node02: holds the only copy of order-book/data-postgres-0 (8Gi)" in outcome.err
    ok(gen(world, project, "replace", "node01", "--yes"))
    ok(gen(world, project, "replace", "node02", "--yes", "--force"))
    is_whole(world)
