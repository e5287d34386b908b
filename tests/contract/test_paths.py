"""The paths between two nodes, by the kernel: what the agent lays through the VPC, and what it says when one is cut."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .plain_nodes import HERE, PLAN, ROSTER, THERE, VPC, Place, two_nodes

# What a switch does that knows a droplet by the provider's address alone.
FOREIGN = f"""
table ip switch {{
  chain in {{
    type filter hook prerouting priority -400
    iifname "eth1" ip saddr != {PLAN.vpc} drop
  }}
}}
"""
NARROW = """
table ip switch {
  chain in { type filter hook prerouting priority -400; iifname "eth1" ip length > 1392 drop; }
}
"""
ICMP_ALONE = """
table ip switch {
  chain in { type filter hook prerouting priority -400; iifname "eth1" ip protocol tcp drop; }
}
"""


@pytest.fixture
def places(tmp_path: Path) -> Iterator[tuple[Place, Place]]:
    """Two nodes that have found each other."""
    with two_nodes(tmp_path) as found:
        yield found


def test_full_packets_and_connections_pass_between_pods(places: tuple[Place, Place]) -> None:
    for place, other in (places, places[::-1]):
        assert place.probed() == {"peer": other.node.name, "icmp": True, "tcp": True, "mtu": 1500, "cause": None}


def test_whoever_asks_for_a_neighbour_asks_as_the_droplet(places: tuple[Place, Place]) -> None:
    watch = "table arp watch { chain in { type filter hook input priority 0; arp saddr ip != 10.77.0.0/20 counter; }; }"
    places[1].run("nft", "-f", "-", text=watch)
    places[0].run("ip", "neighbour", "flush", "all")
    assert places[0].probed()["icmp"]
    assert "packets 0 " in places[1].run("nft", "list", "table", "arp", "watch")


Break = Callable[[Place, Place], object]
BROKEN: dict[str, tuple[Break, str, str]] = {
    # what is done, and what each of the two says
    "frames with foreign sources are dropped": (
        lambda one, other: [place.run("nft", "-f", "-", text=FOREIGN) for place in (one, other)],
        f"frames with pod addresses are dropped on eth1: {VPC[THERE.name]} answers, {THERE.address} does not",
        f"frames with pod addresses are dropped on eth1: {VPC[HERE.name]} answers, {HERE.address} does not",
    ),
    "no route to the pods": (
        lambda one, _: one.run("ip", "route", "delete", str(THERE.pod_cidr)),
        f"there is no route to {THERE.pod_cidr}: packets leave by eth0 via 203.0.113.254",
        f"{HERE.name} has no route back to {THERE.pod_cidr}",
    ),
    "no route at all": (
        lambda one, _: [
            one.run("ip", "route", "delete", place) for place in (f"{THERE.address}/32", str(THERE.pod_cidr))
        ],
        f"there is no route to {THERE.address}/32: packets leave by eth0 via 203.0.113.254",
        f"{HERE.name} has no route back to {THERE.address}",
    ),
    "packets of full size are lost": (
        lambda one, other: [place.run("nft", "-f", "-", text=NARROW) for place in (one, other)],
        "MTU 1500 too large, 1392 passes",
        "MTU 1500 too large, 1392 passes",
    ),
    "connections are lost": (
        lambda one, other: [place.run("nft", "-f", "-", text=ICMP_ALONE) for place in (one, other)],
        "ICMP passes, TCP does not: a packet filter is in the way",
        "ICMP passes, TCP does not: a packet filter is in the way",
    ),
    "the other droplet is down": (
        lambda _, other: other.run("ip", "address", "flush", "dev", "eth1"),
        f"{VPC[THERE.name]} does not answer in the VPC: it is down, or a firewall is in the way",
        f"this droplet has no address in the VPC {PLAN.vpc}",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_in_the_way_is_named(places: tuple[Place, Place], name: str) -> None:
    action, *said = BROKEN[name]
    action(*places)
    assert [place.probed()["cause"] for place in places] == said


def test_a_peer_that_comes_back_elsewhere_is_reached_there(places: tuple[Place, Place]) -> None:
    one, other = places
    gone = {**ROSTER, "nodes": [node | {"endpoint": None} for node in ROSTER["nodes"]]}
    one.follow(gone)
    assert one.run("ip", "route", "show", "type", "unreachable").split() == [
        *("unreachable", str(THERE.pod_cidr)),
        *("unreachable", str(THERE.address)),
    ]
    other.run("ip", "address", "flush", "dev", "eth1")
    other.run("ip", "address", "add", "10.77.0.77/20", "dev", "eth1")
    moved = {**ROSTER, "nodes": [ROSTER["nodes"][0], ROSTER["nodes"][1] | {"endpoint": "10.77.0.77"}]}
    for place in places:
        (place.root / "var/lib/hardway/roster.json").write_text(json.dumps(moved))
        place.follow(moved)
    assert [place.probed()["cause"] for place in places] == [None, None]


def test_a_peer_that_left_has_no_routes(places: tuple[Place, Place]) -> None:
    one, _ = places
    one.follow({**ROSTER, "nodes": ROSTER["nodes"][:1]})
    assert str(THERE.address) not in one.run("ip", "route", "show", "table", "all")
    assert "10.42.1." not in one.run("ip", "route", "show", "table", "all")
