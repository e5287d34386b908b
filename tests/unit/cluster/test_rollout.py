"""In which order nodes are removed and replaced, and how many at once; nothing is done here."""

from __future__ import annotations

from dataclasses import replace

from generator.cluster.drift import Drift
from generator.cluster.rollout import Batch, batches
from generator.plan.decide import Plan
from tests.keyring import planned

PLAN = planned(control_planes=3, workers=5)


def drifts(plan: Plan, *names: str) -> tuple[Drift, ...]:
    nodes = {node.name: node for node in plan.nodes}
    return tuple(
        Drift(name, nodes[name].role, nodes[name].pool, 1, "document", "was born with another document")
        if name in nodes
        else Drift(name, "worker", "", 1, "unplanned", "is no longer planned")
        for name in names
    )


def shown(found: tuple[Batch, ...]) -> list[tuple[str, ...]]:
    return [(batch.verb, *batch.nodes) for batch in found]


ALL = tuple(node.name for node in PLAN.nodes)


def test_control_plane_nodes_go_one_by_one_the_leader_last_then_workers() -> None:
    assert shown(batches(PLAN, drifts(PLAN, *ALL), leader="node01")) == [
        ("replace", "node02"),
        ("replace", "node03"),
        ("replace", "node01"),
        *(("replace", f"worker0{number}") for number in range(1, 6)),
    ]


def test_a_pool_goes_as_many_at_once_as_it_allows() -> None:
    nodes = tuple(replace(node, max_unavailable=1 if node.is_control_plane else 2) for node in PLAN.nodes)
    found = shown(batches(replace(PLAN, nodes=nodes), drifts(PLAN, *ALL)))
    assert found[3:] == [
        ("replace", "worker01", "worker02"),
        ("replace", "worker03", "worker04"),
        ("replace", "worker05"),
    ]


def test_what_was_begun_comes_first_then_what_left() -> None:
    found = batches(PLAN, drifts(PLAN, "node01", "node02", "worker01", "gone02", "gone01"), unfinished=("node02",))
    assert shown(found) == [
        ("replace", "node02"),
        ("remove", "gone01"),
        ("remove", "gone02"),
        ("replace", "node01"),
        ("replace", "worker01"),
    ]


def test_what_ails_comes_before_what_is_well() -> None:
    found = batches(PLAN, drifts(PLAN, *ALL), leader="node03", unready=("worker04", "node03"))
    assert shown(found)[:4] == [
        ("replace", "node03"),
        ("replace", "worker04"),
        ("replace", "node01"),
        ("replace", "node02"),
    ]
    assert sorted(name for batch in found for name in batch.nodes) == sorted(ALL)


def test_whatever_differs_each_node_is_in_one_batch_and_control_plane_nodes_are_alone() -> None:
    for skip in ALL:
        names = [name for name in ALL if name != skip]
        found = batches(PLAN, drifts(PLAN, *names), unfinished=names[:1], leader=names[1], unready=names[2:4])
        assert sorted(name for batch in found for name in batch.nodes) == sorted(names)
        assert all(len(batch.nodes) == 1 for batch in found if batch.nodes[0].startswith("node"))


def test_nothing_differs() -> None:
    assert batches(PLAN, ()) == ()
