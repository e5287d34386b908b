"""Routes through the VPC follow the roster; that the kernel takes them, and packets too, is shown in the contract."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hardway import datapath, here, vpc
from hardway.here import Failure

from .kernel import Kernel, peer


def lines(wanted: list[dict[str, Any]], before: list[dict[str, Any]]) -> list[str]:
    return [" ".join(command) for command in vpc.commands(wanted, before, "eth1", "10.44.0.1")]


@pytest.mark.parametrize(
    ("endpoint", "said"),
    [
        (
            "10.110.0.2",
            [
                "{} 10.44.0.2/32 via 10.110.0.2 dev eth1 src 10.44.0.1",
                "{} 10.42.1.0/24 via 10.110.0.2 dev eth1 src 10.44.0.1",
            ],
        ),
        (None, ["{} unreachable 10.44.0.2/32", "{} unreachable 10.42.1.0/24"]),
    ],
)
def test_each_peer_is_reached_where_the_roster_says_or_not_at_all(endpoint: str | None, said: list[str]) -> None:
    for before in ([], [peer(2, "10.110.0.99")], [peer(2)]):
        assert lines([peer(2, endpoint)], before) == [line.format("ip route replace") for line in said]


def test_a_peer_that_is_gone_loses_its_routes() -> None:
    assert lines([], [peer(2)]) == ["ip route flush 10.42.1.0/24", "ip route flush 10.44.0.2/32"]


@pytest.fixture
def plain(facts: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Kernel:
    """A node of a cluster without the mesh."""
    here.write(here.FACTS, json.dumps(facts | {"datapath": "vpc", "mtu": 1500}))
    here.write("/proc/sys/net/ipv4/conf/eth1/arp_announce", "0")
    return Kernel(monkeypatch)


def test_the_planned_addresses_are_there_before_any_pod_and_come_in_by_one_interface(plain: Kernel) -> None:
    datapath.create(here.facts())
    assert plain.ran == [
        "ip -json -4 address show",
        "ip address replace 10.44.0.1/32 dev lo",
        'nft add element inet hardway vpc { "eth1" }',
        "ip address replace 10.42.0.1/32 dev lo",
    ]
    assert here.at("/proc/sys/net/ipv4/conf/eth1/arp_announce").read_text() == "2"


def test_without_an_address_in_the_vpc_it_is_tried_again(plain: Kernel) -> None:
    plain.addresses = ["203.0.113.7", "10.44.0.1"]
    with pytest.raises(Failure, match=r"no address in the VPC 10\.110\.0\.0/20"):
        datapath.create(here.facts())


def test_what_was_laid_is_known_in_this_boot(plain: Kernel) -> None:
    roster = {"etcd": {"state": "new"}, "nodes": [peer(1, "10.110.0.1"), peer(2)]}
    assert not datapath.exists()
    datapath.follow(roster)
    assert datapath.exists()
    assert datapath.is_followed(roster)
    assert not datapath.is_followed({"nodes": [peer(1, "10.110.0.1"), peer(2, "10.110.0.2")]})


def test_nobody_but_the_roster_says_where_a_peer_is(plain: Kernel) -> None:
    roster: dict[str, Any] = {"etcd": {"state": "new"}, "nodes": [peer(1), peer(2), peer(3, "10.110.0.3")]}
    assert datapath.unknown(here.facts(), roster) == ["node02"]
    assert datapath.unknown(here.facts(), roster | {"etcd": {"state": "existing"}}) == []
