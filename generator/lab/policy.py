"""What firewalls let through for one droplet: the account says it, the packet filter of machines enforces it."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Literal


@dataclass(frozen=True)
class Rule:
    """What one firewall rule lets through: a protocol, a range of ports (`None`: all) and the other side's networks."""

    protocol: Literal["tcp", "udp", "icmp"]
    ports: tuple[int, int] | None
    peers: tuple[IPv4Network, ...]


@dataclass(frozen=True)
class DropletPolicy:
    """The rules that hold for one droplet behind at least one firewall; everything else is dropped, both ways.

    `mac` is that of its interface in the VPC, by which it is known whatever addresses a packet has.
    """

    addresses: tuple[IPv4Address, ...]
    inbound: tuple[Rule, ...]
    outbound: tuple[Rule, ...]
    mac: str = ""
