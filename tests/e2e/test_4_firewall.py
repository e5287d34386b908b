"""Who reaches which port is as the firewall says, from outside, inside and beside the cluster."""

from __future__ import annotations

import json

import pytest

from generator.lab.state import ANYBODY_ADDRESS
from tests.e2e.conftest import in_pod
from tests.e2e.harness import NODES, Cluster, run, until

TCP = (22, 80, 443, 2379, 2380, 4443, 6443, 7443, 10249, 10250, 10256, 10257, 10259)
PROBE = """
import concurrent.futures, json, socket, sys
def reached(port):
    try:
        source = (sys.argv[3], 0) if len(sys.argv) > 3 else None
        socket.create_connection((sys.argv[1], port), 1.5, source).close()
        return True
    except OSError:
        return False
ports = json.loads(sys.argv[2])
with concurrent.futures.ThreadPoolExecutor(len(ports)) as pool:
    print(json.dumps([port for port, open in zip(ports, pool.map(reached, ports)) if open]))
"""
SPOOF = """
import json, socket, struct, subprocess, sys
own, foreign, target = sys.argv[1:]
links = json.loads(subprocess.run(["ip", "-json", "-4", "address"], capture_output=True, check=True).stdout)
[link] = [link["ifname"] for link in links for a in link["addr_info"] if a["local"] == own]
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
wire.bind((link, 0))
mac = wire.getsockname()[4]
packed = [socket.inet_aton(address) for address in (foreign, target)]
head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28, 1, 0, 64, 17, 0, *packed)
total = sum(struct.unpack("!10H", head))
total = (total & 0xFFFF) + (total >> 16)
head = head[:10] + struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF) + head[12:]
for _ in range(5):
    wire.send(b"\\xff" * 6 + mac + b"\\x08\\x00" + head + struct.pack("!HHHH", 9, 51820, 8, 0))
"""


def reached(namespace: str, address: str, *source: str) -> set[int]:
    """Tell which TCP ports of an address can be reached from a network namespace, or from one address of it."""
    done = run("nsenter", f"--net=/run/netns/{namespace}", "python3", "-c", PROBE, address, json.dumps(TCP), *source)
    return set(json.loads(done.stdout))


@pytest.fixture(scope="module")
def droplets(cluster: Cluster) -> dict[str, dict[str, str]]:
    """Name each droplet's namespace and addresses."""
    found = json.loads(cluster.gen("lab", "status", "--json").stdout)["droplets"]
    return {droplet["name"]: droplet for droplet in found}


@pytest.fixture(scope="module")
def stranger(cluster: Cluster) -> object:
    """Boot a droplet in the cluster's VPC that does not belong to the cluster."""
    cluster.gen("lab", "droplet", "create", "stranger", "--vpc-of", "node01")

    def there() -> dict[str, str]:
        found = json.loads(cluster.gen("lab", "status", "--json").stdout)["droplets"]
        droplet = next(entry for entry in found if entry["name"] == "stranger")
        assert droplet["status"] == "active"
        # It is active before its system has set up its network.
        routes = json.loads(run("ip", "-json", "-netns", droplet["namespace"], "-4", "route").stdout)
        assert "default" in {route["dst"] for route in routes}
        assert {droplet["public"], droplet["private"]} <= {route.get("prefsrc") for route in routes}
        return droplet  # type: ignore[no-any-return]

    yield until("the stranger", there, 60)
    cluster.gen("lab", "droplet", "delete", "stranger")


def test_from_the_operator(cluster: Cluster, droplets: dict[str, dict[str, str]]) -> None:
    for node in NODES:
        assert reached(cluster.lab.operator_namespace, droplets[node]["public"]) == {80, 443, 6443}


def test_from_the_public(cluster: Cluster, droplets: dict[str, dict[str, str]]) -> None:
    for node in NODES:
        assert reached(cluster.lab.operator_namespace, droplets[node]["public"], str(ANYBODY_ADDRESS)) == {80, 443}


def test_from_a_pod(cluster: Cluster, droplets: dict[str, dict[str, str]], pods: dict[str, dict[str, str]]) -> None:
    def from_pod(address: str) -> set[int]:
        attempts = "".join(
            f"(timeout 2 bash -c '</dev/tcp/{address}/{port}' 2>/dev/null && echo {port}) & " for port in TCP
        )
        return {int(line) for line in in_pod(cluster, pods["node01"]["name"], f"{attempts} wait").split()}

    for node in NODES:
        # Its own node too: etcd, the kubelet and all else are the nodes' alone.
        assert from_pod(f"10.44.0.{int(node[-2:])}") == {80, 443, 6443}
    for node in ("node02", "node03"):
        assert from_pod(droplets[node]["public"]) == {80, 443}
        assert from_pod(droplets[node]["private"]) <= {80, 443}


def test_from_a_stranger(droplets: dict[str, dict[str, str]], stranger: dict[str, str]) -> None:
    for node in NODES:
        assert reached(stranger["namespace"], droplets[node]["public"]) == {80, 443}, f"public address of {node}"
        assert reached(stranger["namespace"], droplets[node]["private"]) <= {80, 443}, f"VPC address of {node}"
        assert reached(stranger["namespace"], f"10.44.0.{int(node[-2:])}") == set()


def test_from_a_peer(cluster: Cluster, droplets: dict[str, dict[str, str]]) -> None:
    metrics = {pod["spec"]["nodeName"] for pod in cluster.items("pods", "-n", "metrics-server")}  # type: ignore[index]
    assert len(metrics) == 2
    for source in NODES:
        for node in NODES:
            if node == source:
                continue
            assert reached(droplets[source]["namespace"], droplets[node]["private"]) <= {80, 443}
            inside = reached(droplets[source]["namespace"], f"10.44.0.{int(node[-2:])}")
            assert inside == {80, 443, 2379, 2380, 6443, 10250} | ({4443} if node in metrics else set())


def test_frames_with_foreign_sources_are_dropped(cluster: Cluster, droplets: dict[str, dict[str, str]]) -> None:
    """A packet from a pod's address doesn't cross the VPC, so plain routes would not work here."""
    before = json.loads(cluster.gen("lab", "status", "--json").stdout)["spoofed_frames"]
    own, other = droplets["node01"], droplets["node02"]["private"]
    run("nsenter", f"--net=/run/netns/{own['namespace']}", "python3", "-c", SPOOF, own["private"], "10.42.0.9", other)
    after = json.loads(cluster.gen("lab", "status", "--json").stdout)["spoofed_frames"]
    assert after == before + 5
