"""Says who the other nodes are, what is reached through each, and where this one stands in the VPC."""

from __future__ import annotations

import json
from ipaddress import ip_address, ip_network
from typing import Any

from hardway import here
from hardway.here import Failure

Peer = dict[str, Any]


def others(facts: dict[str, Any], roster: dict[str, Any]) -> list[Peer]:
    """List the nodes of the roster but this one."""
    return [peer for peer in roster["nodes"] if peer["name"] != facts["node"]]


def behind(peer: Peer) -> tuple[str, str]:
    """Give what is reached through a peer."""
    return f"{peer['address']}/32", peer["pod_cidr"]


def gateway(pod_cidr: str) -> str:
    """Give a node's own address among its pods: the first, which no pod ever gets."""
    return str(ip_network(pod_cidr)[1])


def nic(facts: dict[str, Any]) -> tuple[str, str]:
    """Find the interface in the VPC, and the address that the provider gave it.

    Raises:
        Failure: there is none.
    """
    inside = ip_network(facts["vpc"])
    for link in json.loads(here.run("ip", "-json", "-4", "address", "show")):
        for address in link["addr_info"]:
            if ip_address(address["local"]) in inside:
                return link["ifname"], address["local"]
    raise Failure(f"this droplet has no address in the VPC {facts['vpc']}")
