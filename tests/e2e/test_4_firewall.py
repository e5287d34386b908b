"""Who reaches which port is as the firewall says, from outside, inside and beside the cluster."""

from __future__ import annotations

import json
import time

import pytest

from tests.e2e.harness import NODES, Cluster, run, until

TCP = (22, 80, 443, 2379, 2380, 6443, 7443, 10249, 10250, 10256, 10257, 10259)
PROBE = """
import json, socket, sys
found = []
for port in json.loads(sys.argv[2]):
    try:
        socket.create_connection((sys.argv[1], port), 1.5).close()
        found.append(port)
    except OSError:
        pass
print(json.dumps(found))
"""


def reached(namespace: str, address: str) -> set[int]:
    """Tell which TCP ports of an address can be reached from a network namespace."""
    done = run("nsenter", f"--net=/run/netns/{namespace}", "python3", "-c", PROBE, address, json.dumps(TCP))
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
        assert droplet["private"]
        return droplet  # type: ignore[no-any-return]

    yield until("the stranger", there, 60)
    cluster.gen("lab", "droplet", "delete", "stranger")


def test_from_the_operator(droplets: dict[str, dict[str, str]]) -> None:
    for node in NODES:
        assert reached("hardway-operator", droplets[node]["public"]) == {80, 443, 6443}


def test_from_a_stranger(droplets: dict[str, dict[str, str]], stranger: dict[str, str]) -> None:
    for node in NODES:
        assert reached(stranger["namespace"], droplets[node]["public"]) == {80, 443}, f"public address of {node}"
        assert reached(stranger["namespace"], droplets[node]["private"]) <= {80, 443}, f"VPC address of {node}"
        assert reached(stranger["namespace"], f"10.44.0.{int(node[-2:])}") == set()


def test_from_a_peer(droplets: dict[str, dict[str, str]]) -> None:
    for source in NODES:
        for node in NODES:
            if node == source:
                continue
            assert reached(droplets[source]["namespace"], droplets[node]["private"]) <= {80, 443}
            inside = reached(droplets[source]["namespace"], f"10.44.0.{int(node[-2:])}")
            assert {2379, 2380, 6443, 10250} <= inside
            assert not inside & {7443, 10249, 10257, 10259}, "loopback only"


def test_frames_with_foreign_sources_are_dropped(cluster: Cluster, droplets: dict[str, dict[str, str]]) -> None:
    """A packet from a pod's address doesn't cross the VPC, so plain routes would not work here."""
    counter = "import socket,sys; s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); s.bind((sys.argv[1],0)); s.sendto(b'x',(sys.argv[2],51820))"
    before = json.loads(cluster.gen("lab", "status", "--json").stdout)["spoofed_frames"]
    namespace = droplets["node01"]["namespace"]
    for _ in range(3):
        run("nsenter", f"--net=/run/netns/{namespace}", "python3", "-c", counter, "10.42.0.1", droplets["node02"]["private"])
        time.sleep(0.2)
    after = json.loads(cluster.gen("lab", "status", "--json").stdout)["spoofed_frames"]
    assert after > before
