"""The cluster that assembled itself is the planned one, and serves."""

from __future__ import annotations

import ipaddress
import json

import pytest

from tests.e2e.conftest import in_pod
from tests.e2e.harness import NODES, Cluster, until


def request(address: str, port: int, path: str) -> str:
    """Write an HTTP request with nothing but bash."""
    head = f"GET {path} HTTP/1.1\\r\\nHost: probe\\r\\nConnection: close\\r\\n\\r\\n"
    return f"exec 3<>/dev/tcp/{address}/{port} && printf '{head}' >&3 && timeout 10 cat <&3"


def test_an_order_is_placed_and_read_back_through_every_droplet(cluster: Cluster) -> None:
    for number, node in enumerate(NODES):
        price = 1000 + number
        answer = json.loads(cluster.order("buy", price, 3, node=node))
        assert answer
        assert str(price) in cluster.book("/ob", node=node)


def test_only_the_paths_of_the_application_are_routed(cluster: Cluster) -> None:
    assert json.loads(cluster.book("/api/health")) == {"ok": True}
    with pytest.raises(AssertionError, match="404"):
        cluster.book("/api/wipe")


def test_nodes_are_as_planned(cluster: Cluster) -> None:
    assert cluster.ready_nodes() == set(NODES)
    for number, node in enumerate(sorted(cluster.items("nodes"), key=lambda item: item["metadata"]["name"]), start=1):  # type: ignore[index]
        name = node["metadata"]["name"]  # type: ignore[index]
        addresses = {entry["type"]: entry["address"] for entry in node["status"]["addresses"]}  # type: ignore[index]
        assert addresses["InternalIP"] == f"10.44.0.{number}"
        assert node["spec"]["podCIDR"] == f"10.42.{number - 1}.0/24"  # type: ignore[index]
        boot = cluster.on(str(name), "cat", "/proc/sys/kernel/random/boot_id").stdout.strip()
        assert node["status"]["nodeInfo"]["bootID"] == boot  # type: ignore[index]
    assert len({node["status"]["nodeInfo"]["bootID"] for node in cluster.items("nodes")}) == 3  # type: ignore[index]


def test_etcd_has_three_started_voters(cluster: Cluster) -> None:
    members = cluster.members()
    assert {str(member.get("name")) for member in members} == set(NODES)
    assert not any(member.get("isLearner") for member in members)
    for node in NODES:
        status = json.loads(cluster.etcdctl(node, "endpoint", "status", "-w", "json"))
        assert status[0]["Status"]["leader"] != 0


def test_pods_reach_pods_services_and_dns(cluster: Cluster, pods: dict[str, dict[str, str]]) -> None:
    assert set(pods) == set(NODES)
    for source, pod in pods.items():
        for target, other in pods.items():
            assert ipaddress.ip_address(other["ip"]) in ipaddress.ip_network(f"10.42.{int(target[-2:]) - 1}.0/24")
            assert "200 OK" in in_pod(cluster, pod["name"], request(other["ip"], 8000, "/ping")), f"{source} → {target}"
        assert "200 OK" in in_pod(cluster, pod["name"], request("probe.probe", 80, "/ping")), "a Service, by its name"
        resolved = in_pod(cluster, pod["name"], "getent hosts kubernetes.default").split()
        assert resolved[0] == "10.43.0.1"


def test_the_service_address_of_the_api_verifies(cluster: Cluster, pods: dict[str, dict[str, str]]) -> None:
    for node in NODES:
        answer = cluster.on(
            node, "curl", "-sS", "--fail", "--cacert", "/etc/kubernetes/pki/ca.crt", "https://10.43.0.1/readyz"
        )
        assert answer.stdout == "ok"
        # Inside a pod: its server speaks TLS to 10.43.0.1 and trusts only the CA that the pod was given.
        answered = in_pod(cluster, pods[node]["name"], request("127.0.0.1", 8000, "/readyz"))
        assert "200 OK" in answered
        assert answered.rstrip().endswith("ok")


def test_a_pod_cannot_read_the_metadata(cluster: Cluster, pods: dict[str, dict[str, str]]) -> None:
    for pod in pods.values():
        script = "timeout 5 bash -c 'exec 3<>/dev/tcp/169.254.169.254/80 && echo reached'"
        assert "reached" not in in_pod(cluster, pod["name"], script, check=False)
    reached = cluster.on("node01", "curl", "-sS", "--max-time", "5", "http://169.254.169.254/metadata/v1/hostname")
    assert reached.stdout.strip() == "node01"


def test_the_application_recovers_when_its_database_restarts(cluster: Cluster) -> None:
    cluster.order("sell", 5000, 1)
    cluster.kubectl("delete", "pod", "-n", "order-book", "-l", "app.kubernetes.io/name=postgres", "--wait=true")

    def written() -> bool:
        cluster.order("sell", 5001, 1)
        return "5001" in cluster.book("/ob")

    until("an order after the database's restart", written, 180)
    assert "5000" in cluster.book("/ob")
