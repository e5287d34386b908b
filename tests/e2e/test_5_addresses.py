"""A node that keeps its address is reached there, before and after it is replaced."""

from __future__ import annotations

import json
import time

from tests.e2e.harness import NODES, Cluster, until
from tests.e2e.test_5_replace import described as described

# A later test waits until they have expired.
SHORT = ("--url-lifetime", "5m")
ASK = """
import urllib.request
print(urllib.request.urlopen("http://169.254.169.254/metadata/v1/reserved_ip/ipv4/ip_address").read().decode())
"""


def listed(cluster: Cluster) -> dict[str, str]:
    """Give what `gen status` says of each node's address."""
    status = json.loads(cluster.gen("status", "--lab", "--json", check=False).stdout)
    return {node["node"]: node["public"] for node in status["nodes"]}


def book_at(cluster: Cluster, address: str) -> str:
    """Ask the order book at an address."""
    return cluster.book("/api/health", address=address)


def test_nodes_keep_their_addresses_when_they_are_replaced(cluster: Cluster, described: object) -> None:
    born = listed(cluster)
    described(r"volumes: \[\{name: data, size: 10\}\]\}", "volumes: [{name: data, size: 10}], public: reserved}")  # type: ignore[operator]
    said = cluster.gen("launch", "--lab", "--yes", *SHORT, timeout=600).stderr
    assert "create  address" in said
    kept = listed(cluster)
    assert not set(kept.values()) & set(born.values())
    for node in NODES:
        until(f"the order book at {node}", lambda node=node: book_at(cluster, kept[node]), 60)  # type: ignore[misc]
        told = cluster.on(node, "python3", "-c", ASK).stdout
        assert told.strip() == kept[node]
        assert " 10.19." in cluster.on(node, "ip", "-brief", "-4", "address", "show", "eth0").stdout
    kubeconfig = cluster.gen("kubeconfig", "--lab").stdout.strip()
    text = (cluster.directory / kubeconfig).read_text()
    assert any(f"https://{address}:6443" in text for address in kept.values())
    started = time.monotonic()
    cluster.gen("replace", "--lab", "--yes", *SHORT, "node03", timeout=600)
    cluster.times["one node replaced that keeps its address"] = time.monotonic() - started
    assert listed(cluster) == kept
    until("the order book at node03", lambda: book_at(cluster, kept["node03"]), 60)
    described(r", public: reserved\}", "}")  # type: ignore[operator]
    cluster.gen("launch", "--lab", "--yes", *SHORT, timeout=600)
    assert not set(listed(cluster).values()) & set(kept.values())
    assert cluster.gen("status", "--lab").returncode == 0
