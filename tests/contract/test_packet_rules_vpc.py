"""Who comes in through the VPC where planned addresses are reached without a tunnel, by the kernel."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from generator.plan import ports

from .plain_nodes import HERE, PLAN, THERE, VPC, Place, two_nodes
from .test_packet_rules import EVERY, KNOCK, WITNESS

PUBLIC = "203.0.113.1"
NOBODY, NO_POD = str(PLAN.node_cidr[77]), str(PLAN.pod_cidr[77 * 256 + 7])
ANYONE = frozenset[ports.Source](("anyone", "operators"))
NONE = frozenset[ports.Source]()
# By which interface, from where, to where, and what that counts as.
CALLERS = {
    "a peer": ("eth1", str(THERE.address), str(HERE.address), ANYONE | {"nodes"}),
    "a pod of a peer": ("eth1", str(THERE.pod_cidr[7]), str(HERE.address), ANYONE | {"pods"}),
    "a pod of a peer, by the gateway": ("eth1", str(THERE.pod_cidr[7]), str(HERE.gateway), ANYONE | {"pods"}),
    "a droplet": ("eth1", VPC[THERE.name], VPC[HERE.name], ANYONE | {"vpc"}),
    "a droplet, by the planned address": ("eth1", VPC[THERE.name], str(HERE.address), NONE),
    "a peer, by the address in the VPC": ("eth1", str(THERE.address), VPC[HERE.name], NONE),
    "a droplet as this node": ("eth1", str(HERE.address), str(HERE.gateway), NONE),
    "a droplet as a pod of this node": ("eth1", str(HERE.pod_cidr[7]), str(HERE.address), NONE),
    "a droplet as a node that is not there": ("eth1", NOBODY, str(HERE.address), NONE),
    "a droplet as a pod of a node that is not there": ("eth1", NO_POD, str(HERE.address), NONE),
    "a stranger as a peer": ("eth0", str(THERE.address), str(HERE.address), NONE),
    "a stranger as a peer, by the public address": ("eth0", str(THERE.address), PUBLIC, NONE),
    "a stranger as a pod": ("eth0", str(THERE.pod_cidr[7]), str(HERE.address), NONE),
    "a stranger": ("eth0", "203.0.113.2", PUBLIC, ANYONE),
}


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Place, Place]]:
    """Two nodes, of which the other is whoever it likes."""
    with two_nodes(tmp_path_factory.mktemp("nodes")) as (one, other):
        other.run("nft", "flush", "ruleset")
        for target in (HERE.address, HERE.gateway):
            other.run("ip", "route", "replace", f"{target}/32", "via", PUBLIC, "dev", "eth0", "metric", "50")
            other.run("ip", "route", "replace", f"{target}/32", "via", VPC[HERE.name], "dev", "eth1")
        for device, address in (("eth0", PUBLIC), ("eth1", VPC[HERE.name])):  # who knocks waits for no neighbour
            mac = json.loads(one.run("ip", "-json", "link", "show", device))[0]["address"]
            other.run("ip", "neighbour", "replace", address, "lladdr", mac, "dev", device)
        one.run("nft", "-f", "-", text=WITNESS)
        yield one, other


def passed(places: tuple[Place, Place], device: str, source: str, target: str) -> set[tuple[str, int]]:
    one, other = places
    one.run("nft", "flush", "set", "ip", "witness", "seen")
    # only as long as it knocks: another time it may call there
    other.run("ip", "address", "replace", f"{source}/32", "dev", device)
    other.run(sys.executable, "-c", KNOCK, json.dumps([device, source, target, EVERY, 0]))
    other.run("ip", "address", "delete", f"{source}/32", "dev", device)
    found = json.loads(one.run("nft", "-j", "list", "set", "ip", "witness", "seen"))
    elements = next(item["set"].get("elem", []) for item in found["nftables"] if "set" in item)
    return {
        (protocol, number) for address, protocol, number in (one["concat"] for one in elements) if address == source
    }


@pytest.mark.parametrize("name", CALLERS)
def test_each_caller_reaches_what_is_planned_and_nothing_else(places: tuple[Place, Place], name: str) -> None:
    device, source, target, counts_as = CALLERS[name]
    rows = ports.of(HERE.role, PLAN.datapath)
    planned = {(row.protocol, row.number) for row in rows if counts_as & set(row.sources)}
    assert passed(places, device, source, target) == planned


def test_before_the_interface_is_known_no_planned_address_comes_in(places: tuple[Place, Place]) -> None:
    one, _ = places
    one.run("nft", "flush", "set", "inet", "hardway", "vpc")
    try:
        for name in ("a peer", "a pod of a peer"):
            device, source, target, _ = CALLERS[name]
            assert passed(places, device, source, target) == set(), name
    finally:
        one.agent("from hardway import datapath; datapath.create(here.facts())")


def test_a_service_of_a_peer_is_asked_by_the_planned_address(tmp_path: Path) -> None:
    with two_nodes(tmp_path) as places:
        _ask_a_service(*places)


def _ask_a_service(one: Place, other: Place) -> None:
    # As kube-proxy does: the API's Service leads to a peer, and who asks from elsewhere is masqueraded.
    proxy = f"""
    table ip proxy {{
      chain output {{
        type nat hook output priority -100
        ip daddr {PLAN.kubernetes_service_ip} dnat to {THERE.address}
      }}
      chain postrouting {{ type nat hook postrouting priority srcnat; oifname "eth1" masquerade; }}
    }}
    """
    one.run("nft", "-f", "-", text=proxy)
    other.run("nft", "-f", "-", text=WITNESS)
    ask = f"import socket; s = socket.socket(); s.settimeout(0.5); s.connect_ex(('{PLAN.kubernetes_service_ip}', 443))"
    one.run(sys.executable, "-c", ask)
    seen = other.run("nft", "list", "set", "ip", "witness", "seen")
    assert f"{HERE.address} . tcp . 443" in seen
    assert VPC[HERE.name] not in seen
