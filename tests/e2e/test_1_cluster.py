"""The cluster that assembled itself is the planned one, and serves."""

from __future__ import annotations

import ipaddress
import json
import re
import shlex

import pytest

from tests.e2e.conftest import in_pod
from tests.e2e.harness import HOST, NODES, Cluster, run, until


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


def test_who_comes_without_tls_is_led_to_it_and_other_names_get_no_certificate(cluster: Cluster) -> None:
    way = ("--proxytunnel", "--proxy", cluster.proxy, "--suppress-connect-headers")
    address = cluster.address("node02")
    plain = run("curl", "-sSi", *way, "--connect-to", f"{HOST}:80:{address}:80", f"http://{HOST}/ob").stdout
    assert plain.startswith("HTTP/1.1 308 ")
    assert f"\nLocation: https://{HOST}/ob" in plain
    other = ("--connect-to", f"other.local:443:{address}:443", "--insecure", "https://other.local/ob")
    refused = run("curl", "-sS", *way, *other, check=False)
    assert refused.returncode != 0
    assert "unrecognized name" in refused.stderr


def test_how_to_open_the_order_book_is_a_command(cluster: Cluster) -> None:
    told = json.loads(cluster.gen("open", "order-book", "--lab", "--json").stdout)
    assert "side" in run(*shlex.split(told["curl"]), "-sS", "--fail", cwd=cluster.directory).stdout
    assert told["hosts"] == f"{cluster.address('node01')} {HOST}"


def test_a_new_certificate_is_served_and_nothing_is_restarted(cluster: Cluster) -> None:
    way = ("-proxy", cluster.proxy.removeprefix("http://"), "-connect", f"{cluster.address('node01')}:443")

    def shown() -> str:
        said = run("openssl", "s_client", *way, "-servername", HOST, stdin="", check=False).stdout
        return said.partition("-----BEGIN CERTIFICATE-----")[2].partition("-----END")[0]

    def running() -> list[tuple[str, int]]:
        pods = json.loads(cluster.kubectl("get", "pods", "-n", "ingress", "-o", "json").stdout)["items"]
        statuses = [(pod["metadata"]["uid"], pod["status"]["containerStatuses"][0]) for pod in pods]
        return sorted((uid, status["restartCount"]) for uid, status in statuses)

    before, pods = shown(), running()
    cluster.gen("rotate", "order-book")
    said = cluster.gen("launch", "--lab", "--yes").stderr
    assert re.search(r"(create|delete) +droplet", said) is None
    until("the new certificate", lambda: shown() not in ("", before), 60)
    assert cluster.book("/ob")
    assert running() == pods


def test_what_nodes_and_pods_use_is_known(cluster: Cluster) -> None:
    def top(*words: str) -> str:
        return cluster.kubectl("top", *words, "--no-headers").stdout

    until("what nodes use", lambda: all(node in top("nodes") for node in NODES), 90)
    until("what pods use", lambda: "postgres-0" in top("pods", "-n", "order-book"), 90)


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
