"""All nodes but one are rolled out while a client writes through that one: nothing that was acknowledged is lost."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import NODES, Cluster, connected_by_bridge
from tests.e2e.load import Objects, Orders

pytestmark = pytest.mark.long

POOL = "- {{name: {name}, role: worker, count: {count}, size: s-2vcpu-4gb, volumes: [{{name: data, size: 5}}]}}\n"
CLIENT = "client01"


@pytest.fixture
def six(tmp_path: Path) -> Iterator[Cluster]:
    """Launch three control-plane nodes, two workers, and one whose balancer and ingress the client uses."""
    cluster = Cluster(tmp_path)
    cluster.gen("init", "orderbook", "--release", "k8s-1.36-source", "--api", "28.51.100.7")
    connected_by_bridge(tmp_path)
    file = tmp_path / "cluster.yaml"
    pools = POOL.format(name="work", count=2) + POOL.format(name="client", count=1)
    file.write_text(re.sub(r"(- \{name: node[^\n]*\n)", rf"\1{pools}", file.read_text()))
    cluster.gen("lab", "build", timeout=3600)
    cluster.gen("render")
    try:
        cluster.gen("lab", "up")
        cluster.gen("launch", "--lab", "--yes", timeout=900)
        yield cluster
    finally:
        cluster.gen("lab", "down", check=False)


def test_a_rollout_of_five_loses_nothing(six: Cluster) -> None:
    nodes = {*NODES, "work01", "work02"}
    before = {node["node"]: node["droplet"] for node in droplets(six)}
    file = six.directory / "cluster.yaml"
    file.write_text(re.sub(r"(name: (?:node|work),.*size: )s-2vcpu-4gb", r"\1s-4vcpu-8gb", file.read_text()))
    six.gen("render")
    objects, orders = Objects(six, CLIENT, "rollout"), Orders(six, CLIENT, 500_000)
    time.sleep(3)
    started = time.monotonic()
    told = six.gen("rollout", "--lab", "--yes", timeout=1800).stderr
    seconds = time.monotonic() - started
    time.sleep(3)
    written, placed = objects.stop(), orders.stop()
    print("\n".join(line for line in told.splitlines() if re.match(r"\d/5 ", line)))
    print(f"rolled out in {seconds:.0f} s\nobjects: {written}\norders: {placed}")
    after = {node["node"]: node["droplet"] for node in droplets(six)}
    assert {name for name in before if before[name] != after[name]} == nodes
    assert (written.is_kept, placed.is_kept) == (True, True)


def droplets(cluster: Cluster) -> list[dict[str, object]]:
    """Give what `gen status` says of each node."""
    found = json.loads(cluster.gen("status", "--lab", "--json", check=False).stdout)["nodes"]
    assert isinstance(found, list)
    return found
