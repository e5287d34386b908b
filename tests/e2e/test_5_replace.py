"""Nodes are replaced, rolled out and left alone under load: what was acknowledged is there, and the others go on."""

from __future__ import annotations

import json
import re
import time

import pytest

from tests.e2e.harness import NODES, Cluster, until
from tests.e2e.load import Objects, Orders
from tests.e2e.test_5_faults import boot_ids, unit_starts


def holder(cluster: Cluster) -> str:
    """Name the node that has the database."""
    for volume in cluster.items("persistentvolumes"):
        spec = volume["spec"]
        if "claimRef" in spec:  # type: ignore[operator]
            return str(spec["nodeAffinity"]["required"]["nodeSelectorTerms"][0]["matchExpressions"][0]["values"][0])  # type: ignore[index]
    raise AssertionError("nobody has the database")


def test_the_database_comes_back_with_its_node_and_lacks_no_order(cluster: Cluster) -> None:
    node = holder(cluster)
    client = next(other for other in NODES if other != node)
    orders = Orders(cluster, client, 300_000)
    time.sleep(2)
    started = time.monotonic()
    cluster.gen("replace", "--lab", "--yes", node, timeout=600)
    cluster.times["the database's node replaced"] = time.monotonic() - started
    until("the order book", lambda: cluster.order("sell", 299_999, 1, node=client), 120)
    time.sleep(2)
    placed = orders.stop()
    print(f"orders over the replacement of their own node: {placed}")
    assert placed.is_kept
    assert holder(cluster) == node


def test_the_database_s_node_is_killed_in_the_middle_of_writes(cluster: Cluster) -> None:
    node = holder(cluster)
    client = next(other for other in NODES if other != node)
    orders = Orders(cluster, client, 400_000)
    time.sleep(3)
    cluster.gen("lab", "power-cycle", node)
    until("the order book", lambda: cluster.order("sell", 399_999, 1, node=client), 240)
    time.sleep(2)
    placed = orders.stop()
    print(f"orders over a power cut of their own node: {placed}")
    assert placed.is_kept
    until("all ready", lambda: cluster.ready_nodes() == set(NODES), 180)


def test_a_control_plane_node_is_replaced_under_load(cluster: Cluster) -> None:
    keeps = holder(cluster)
    replaced, client = (node for node in NODES if node != keeps)
    others = [node for node in NODES if node != replaced]
    boots, starts = boot_ids(cluster, *others), unit_starts(cluster, *others)
    [own] = boot_ids(cluster, replaced).values()
    objects, orders = Objects(cluster, client, "planned"), Orders(cluster, keeps, 100_000)
    time.sleep(2)
    started = time.monotonic()
    told = cluster.gen("replace", "--lab", "--yes", "--json", replaced, timeout=600).stdout
    cluster.times["one node replaced, under load"] = time.monotonic() - started
    time.sleep(2)
    written, placed = objects.stop(), orders.stop()
    print(f"objects: {written}\norders: {placed}")
    assert (written.is_kept, placed.is_kept) == (True, True)
    assert min(written.count - written.failed, placed.count - placed.failed) > 100, "most are acknowledged"
    done = [event["step"] for event in map(json.loads, told.splitlines()) if event["state"] == "done"]
    assert [step for step in done if step in ("retire", "leave", "delete", "make")] == [
        "retire",
        "leave",
        "delete",
        "make",
    ]
    assert cluster.ready_nodes() == set(NODES)
    assert {(member["name"], member.get("isLearner", False)) for member in cluster.members()} == {
        (node, False) for node in NODES
    }
    assert boot_ids(cluster, *others) == boots
    assert unit_starts(cluster, *others) == starts
    assert boot_ids(cluster, replaced) != {replaced: own}
    cordoned = [node["metadata"]["name"] for node in cluster.items("nodes") if node["spec"].get("unschedulable")]  # type: ignore[index,attr-defined]
    assert cordoned == []


def test_a_machine_that_is_lost_costs_nobody_what_was_acknowledged(cluster: Cluster) -> None:
    keeps = holder(cluster)
    lost, client = (node for node in NODES if node != keeps)
    objects = Objects(cluster, client, "unplanned")
    time.sleep(2)
    cluster.gen("lab", "droplet", "delete", lost)
    deleted = time.monotonic()
    time.sleep(15)
    written = objects.stop()
    print(f"objects: {written}")
    until("the lost node is missed", lambda: lost not in cluster.ready_nodes(), 120)
    cluster.times["a lost node missed"] = time.monotonic() - deleted
    assert written.is_kept
    assert written.count - written.failed > 50, "most are acknowledged"
    cluster.gen("launch", "--lab", "--yes", timeout=600)
    assert cluster.ready_nodes() == set(NODES)


@pytest.fixture
def described(cluster: Cluster) -> object:
    """Give what describes the cluster otherwise, and renders it; at the end it is described as before."""
    file = cluster.directory / "cluster.yaml"
    before = file.read_text()

    def describe(old: str, new: str) -> None:
        text = file.read_text()
        assert re.search(old, text)
        file.write_text(re.sub(old, new, text, count=1))
        cluster.gen("render")

    yield describe
    if file.read_text() != before:
        file.write_text(before)
        describe("^", "")


def test_a_worker_comes_by_launch_and_goes_by_rollout(cluster: Cluster, described: object) -> None:
    pool = "{name: work, role: worker, count: 1, size: s-2vcpu-4gb}"
    described(r"(- \{name: node[^\n]*\n)", rf"\1- {pool}\n")  # type: ignore[operator]
    cluster.gen("launch", "--lab", "--yes", timeout=600)
    assert cluster.ready_nodes() == {*NODES, "work01"}
    starts = unit_starts(cluster, *NODES)
    described(rf"- {re.escape(pool)}\n", "")  # type: ignore[operator]
    shown = cluster.gen("diff", "--against", "cloud", "--lab").stdout
    assert "removed    work01" in shown
    cluster.gen("launch", "--lab", "--yes", timeout=600)
    assert cluster.ready_nodes() == {*NODES, "work01"}, "a launch removes nobody"
    assert cluster.gen("status", "--lab", check=False).returncode == 1
    cluster.gen("rollout", "--lab", "--yes", timeout=600)
    until("three nodes", lambda: cluster.ready_nodes() == set(NODES), 60)
    assert cluster.gen("status", "--lab").returncode == 0
    assert unit_starts(cluster, *NODES) == starts, "nothing of the others was restarted"
