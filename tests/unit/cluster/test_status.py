"""What `gen status` warns of: old droplets, whose image is not pinned, full volumes, and what fails for itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from generator.cluster.launchable import Documents
from generator.cluster.node_report import Failure, Phase, Progress, VolumeUse
from generator.cluster.observed import DROPLETS, VOLUMES, Observed, Report
from generator.cluster.status import AILING, MOST_NODES, ClusterStatus, NodeStatus, assess, condensed, warnings
from generator.plan.node import Node
from generator.plan.volumes import Volume
from generator.provider import resources
from generator.provider.resources import Droplet
from tests.keyring import NOW, planned

PLAN = planned(workers=0)
DOCUMENTS = Documents({node.name: f"{node.number:064x}" for node in PLAN.nodes}, "a")
DAY = timedelta(days=1)


def tags(node: Node) -> tuple[str, ...]:
    return PLAN.node_tag(node), PLAN.document_tag(DOCUMENTS.nodes[node.name])


def observed(*ages: float) -> Observed:
    droplets = tuple(
        Droplet(number, node.name, "active", "fra1", node.size, tags(node), NOW - DAY * age, "v", "1", "2")
        for number, (node, age) in enumerate(zip(PLAN.nodes, ages, strict=False))
    )
    ready = {node.name: True for node in PLAN.nodes}
    return Observed(NOW, ready=ready, applied="a", found={DROPLETS: droplets})


def seen(*ages: float, whole: bool = True) -> tuple[ClusterStatus, tuple[str, ...]]:
    now = observed(*ages)
    status = assess(PLAN, None, DOCUMENTS, now, (), "28.1.1.1", None)
    status = replace(status, pending=() if whole else ("create",))
    return status, warnings(PLAN, now, status)


def test_each_node_says_how_old_its_droplet_is() -> None:
    status, said = seen(0.5, 3, 29)
    assert [one.age for one in status.nodes] == ["12h00m", "3d", "29d"]
    assert [bool(one.born) for one in status.nodes] == [True] * 3
    assert said == ()


def test_old_ones_are_named() -> None:
    [line] = seen(31, 3, 45)[1]
    assert line.startswith("the droplets of node01, node03 are older than 30 days, and the image isn't pinned")
    assert seen()[1] == ()


def test_an_unfinished_launch_is_told_before_that() -> None:
    [line] = seen(31, 3, whole=False)[1]
    assert "2 droplets of an unfinished launch" in line


def test_what_lives_otherwise_than_described_is_not_whole() -> None:
    now = observed(1, 1, 1)
    assert assess(PLAN, None, DOCUMENTS, now, (), "28.1.1.1", None).whole
    other = replace(DOCUMENTS, nodes=DOCUMENTS.nodes | {"node02": "f" * 64})  # type: ignore[operator]
    status = assess(PLAN, None, other, now, (), "28.1.1.1", None)
    assert (status.whole, status.drift) == (False, ("node02 was born with another document",))
    smaller = replace(PLAN, nodes=PLAN.nodes[:2])
    status = assess(smaller, None, DOCUMENTS, now, (), "28.1.1.1", None)
    assert (status.whole, status.drift) == (False, ("node03 is no longer planned",))


def test_a_cluster_that_lives_and_drifts_is_no_unfinished_launch() -> None:
    now = observed(31, 31, 31)
    lives = replace(assess(PLAN, None, DOCUMENTS, now, (), "28.1.1.1", None), etcd="existing", drift=("node02 drifts",))
    assert not lives.whole
    assert not any("destroy" in line for line in warnings(PLAN, now, lives))


def with_word(*uses: VolumeUse, failure: Failure | None = None, vouched: bool = True) -> Observed:
    """Give a cluster whose second node tells of its volumes, and perhaps of a unit that fails."""
    phases = (Phase("prepare", "done"),)
    progress = Progress("node02", 1, phases, failure, droplet=1, volumes=uses)
    return replace(observed(1, 1, 1), reports={"node02": Report(NOW, progress, vouched)})


def said_of(now: Observed) -> tuple[str, ...]:
    return warnings(PLAN, now, assess(PLAN, None, DOCUMENTS, now, (), "28.1.1.1", None))


def test_a_full_volume_is_told_in_its_node_s_words() -> None:
    assert said_of(with_word(VolumeUse("data", 97))) == ("volume data of node02 is 97 % full",)
    assert said_of(with_word(VolumeUse("data", 90))) == ()
    assert said_of(with_word(VolumeUse("data", 97), vouched=False)) == ()


def test_one_that_takes_nothing_is_told() -> None:
    assert said_of(with_word(VolumeUse("data", 97, "read-only"))) == ("volume data of node02 is read-only",)


def test_what_fails_beside_the_phases_is_told() -> None:
    lines = ("hardway grow: `resize2fs`: Permission denied", "hardway-grow.service: Failed with result 'exit-code'.")
    failure = Failure("hardway-grow.service", lines)
    said = "unit hardway-grow.service of node02 fails: hardway grow: `resize2fs`: Permission denied"
    assert said_of(with_word(failure=failure)) == (said,)


def test_where_a_volume_is_stands_beside_how_full_it_is() -> None:
    disk = Volume("data", 10, "orderbook-node02-data", "")
    plan = replace(PLAN, nodes=tuple(replace(one, volumes=(disk,)) if one.number == 2 else one for one in PLAN.nodes))
    now = with_word(VolumeUse("data", 40)).having(
        VOLUMES, (resources.Volume("v", "orderbook-node02-data", "fra1", 10, "", 1),)
    )
    status = assess(plan, None, DOCUMENTS, now, (), "28.1.1.1", None)
    assert status.volumes == ("orderbook-node02-data, 10 GiB, at node02, 40 % full",)


def many(count: int, *ailing: str) -> tuple[NodeStatus, ...]:
    each = (f"worker{number:03}" for number in range(count))
    well = NodeStatus("", "worker", 7, "203.0.113.7", "10.77.0.7", "ready", "done", "2026-11-22T08:00:00Z", "b", "1h")
    ill = replace(well, kubernetes="not ready")
    return tuple(replace(ill if name in ailing else well, node=name) for name in each)


def test_many_nodes_that_are_well_share_a_row() -> None:
    found = condensed((replace(many(1)[0], node="node01", role="control-plane"), *many(499, "worker007")))
    assert [(one.node, one.kubernetes, one.droplet) for one in found] == [
        ("worker007", "not ready", 7),
        ("node01", "ready", 7),
        ("worker000 and 497 more", "ready", None),
    ]


def test_of_many_that_ail_the_first_are_shown() -> None:
    names = [f"worker{number:03}" for number in range(300)]
    found = condensed(many(500, *names))
    assert [one.node for one in found][: AILING + 1] == [*names[:AILING], f"worker{AILING:03} and {299 - AILING} more"]
    assert len(found) == AILING + 2
    each = tuple(replace(one, phase=f"step{at}") for at, one in enumerate(many(500)))
    assert len(condensed(each)) == AILING + 1


def test_few_nodes_have_a_row_each() -> None:
    assert condensed(many(MOST_NODES)) == many(MOST_NODES)
