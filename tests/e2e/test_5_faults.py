"""The cluster comes back by itself, and droplets that are gone are recreated with their identity."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime

import pytest

from tests.e2e.harness import NODES, Cluster, until

UNITS = (
    "containerd", "etcd", "hardway-balancer", "hardway-firewall", "hardway-mesh", "kube-apiserver",
    "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubelet",
)  # fmt: skip


def boot_ids(cluster: Cluster, *nodes: str) -> dict[str, str]:
    return {node: cluster.on(node, "cat", "/proc/sys/kernel/random/boot_id").stdout.strip() for node in nodes}


def unit_starts(cluster: Cluster, *nodes: str) -> dict[str, str]:
    units = [f"{unit}.service" for unit in UNITS]
    return {
        node: cluster.on(node, "systemctl", "show", "--property=Id,ActiveEnterTimestampMonotonic", *units).stdout
        for node in nodes
    }


def test_all_machines_restart_with_the_outside_down(cluster: Cluster) -> None:
    cluster.order("buy", 4242, 9)
    before = boot_ids(cluster, *NODES)
    for node in NODES:
        expires = datetime.fromisoformat(
            json.loads(cluster.on(node, "cat", "/etc/hardway/launch.json").stdout)["expires"]
        )
        until(f"the URLs of {node} have expired", lambda: datetime.now(UTC) > expires, 330)  # noqa: B023
    for service in ("api", "spaces", "registry", "downloads"):
        cluster.gen("lab", "stop", service)
    try:
        started = time.monotonic()
        cluster.gen("lab", "power-cycle", "--all")
        until("the order book", lambda: "4242" in cluster.book("/ob"), 300)
        cluster.times["restart of all to serving"] = time.monotonic() - started
        until("three nodes Ready", lambda: cluster.ready_nodes() == set(NODES), 120)
        after = boot_ids(cluster, *NODES)
        assert all(before[node] != after[node] for node in NODES)
        cluster.order("sell", 4343, 1)
        assert "4343" in cluster.book("/ob")
        assert len(cluster.members()) == 3
    finally:
        for service in ("api", "spaces", "registry", "downloads"):
            cluster.gen("lab", "start", service)


ASK = """
import subprocess, sys
sys.path.insert(0, "/usr/local/lib")
from hardway import kube
subprocess.run(["systemctl", "stop", "kube-apiserver"], check=True)
# What begins takes its own server for one that serves, as one does whose server has just ended.
subprocess.run(["systemctl", "restart", "hardway-balancer"], check=True)
try:
    print([kube.api("GET", "/readyz", seconds=8)[0] for _ in range(3)])
finally:
    subprocess.run(["systemctl", "start", "kube-apiserver"], check=True)
"""


def test_nothing_hangs_that_was_meant_for_an_api_server_which_ended(cluster: Cluster) -> None:
    assert cluster.on("node02", "python3", "-c", ASK).stdout.strip() == "[200, 200, 200]"


@pytest.mark.parametrize("node", NODES)
def test_a_destroyed_droplet_is_recreated_with_its_identity(cluster: Cluster, node: str) -> None:
    others = [other for other in NODES if other != node]
    cluster.kubectl("create", "configmap", f"written-before-{node}", "--from-literal=key=value")
    boots, starts = boot_ids(cluster, *others), unit_starts(cluster, *others)
    [own] = boot_ids(cluster, node).values()
    members = {member["name"]: member["ID"] for member in cluster.members()}

    cluster.gen("lab", "droplet", "delete", node)
    started = time.monotonic()
    cluster.gen("launch", "--lab", "--yes", timeout=600)
    cluster.times[f"{node} recreated"] = time.monotonic() - started

    assert cluster.ready_nodes() == set(NODES)
    now = {member["name"]: member for member in cluster.members()}
    assert set(now) == set(NODES)
    assert not any(member.get("isLearner") for member in now.values())
    assert now[node]["ID"] != members[node], "it is a new member"
    assert all(now[other]["ID"] == members[other] for other in others)
    assert cluster.kubectl("get", "configmap", f"written-before-{node}", "-o", "jsonpath={.data.key}").stdout == "value"
    assert boot_ids(cluster, *others) == boots
    assert unit_starts(cluster, *others) == starts
    assert boot_ids(cluster, node) != {node: own}
    found = json.loads(cluster.kubectl("get", "node", node, "-o", "json").stdout)
    number = int(node[-2:])
    assert {"type": "InternalIP", "address": f"10.44.0.{number}"} in found["status"]["addresses"]
    assert found["spec"]["podCIDR"] == f"10.42.{number - 1}.0/24"
    until("the order book", lambda: cluster.order("buy", 700 + number, 1, node=node), 240)


def test_launch_again_does_nothing(cluster: Cluster) -> None:
    boots = boot_ids(cluster, *NODES)
    cluster.gen("launch", "--lab", "--yes", timeout=300)
    assert boot_ids(cluster, *NODES) == boots
