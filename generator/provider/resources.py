"""Holds what DigitalOcean's API tells, as frozen values, and writes what it takes.

Source: https://docs.digitalocean.com/reference/api/
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from ipaddress import IPv4Network
from typing import Any

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Account:
    """The account's limits and standing; `message` is what the provider says of the status."""

    droplet_limit: int
    status: str
    message: str = ""
    address_limit: int = 3
    volume_limit: int | None = None


@dataclass(frozen=True)
class Size:
    """A droplet size: where it can be had and what a month of it costs in US dollars."""

    slug: str
    regions: tuple[str, ...]
    available: bool
    monthly: float


@dataclass(frozen=True)
class ReservedIp:
    """An address of the account's that droplets come and go behind; `droplet` has it now, if any does."""

    ip: str
    region: str
    droplet: int | None = None


@dataclass(frozen=True)
class SpacesKey:
    """A key for Spaces; `grants` are the buckets that it is limited to and what it may there, `""` stands for all.

    `secret` is None but in the answer that makes it.
    """

    id: str
    name: str
    grants: tuple[tuple[str, str], ...]
    secret: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Vpc:
    """A private network of the account; the default one of its region can't be deleted."""

    id: str
    name: str
    description: str
    region: str
    ip_range: IPv4Network
    default: bool = False


@dataclass(frozen=True, order=True)
class Rule:
    """One firewall rule; `ports` is `0` for all, peers are addresses and tags."""

    protocol: str
    ports: str
    addresses: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Firewall:
    """A cloud firewall; `settled` once the provider says that it is in force."""

    id: str
    name: str
    tags: tuple[str, ...]
    inbound: tuple[Rule, ...]
    outbound: tuple[Rule, ...]
    settled: bool = True


@dataclass(frozen=True)
class Volume:
    """A disk that droplets come and go with; `size` in GiB, `droplet` the number of the one that has it."""

    id: str
    name: str
    region: str
    size: int
    description: str
    droplet: int | None = None


@dataclass(frozen=True)
class SshKey:
    """A public key registered with the account."""

    id: int
    name: str
    fingerprint: str


@dataclass(frozen=True)
class Snapshot:
    """What a droplet's disk once was, of which droplets with a disk of `min_disk` GiB and more can be made.

    `gigabytes` are what it is paid for; it `is_ready` once it is whole.
    """

    id: int
    name: str
    regions: tuple[str, ...]
    min_disk: int
    gigabytes: float
    created: datetime
    is_ready: bool = True


@dataclass(frozen=True)
class Event:
    """Something that an object was asked to do: `in-progress`, `completed` or `errored`."""

    id: int
    type: str
    status: str


@dataclass(frozen=True)
class Droplet:
    """A droplet; both addresses are None until the provider tells them. `snapshots` are the numbers of its own."""

    id: int
    name: str
    status: str
    region: str
    size: str
    tags: tuple[str, ...]
    created: datetime
    vpc: str | None = None
    public: str | None = None
    private: str | None = None
    snapshots: tuple[int, ...] = ()

    @property
    def settled(self) -> bool:
        """Active, with both addresses; `active` alone comes earlier than the addresses."""
        return self.status == "active" and self.public is not None and self.private is not None


def firewall_body(name: str, tag: str, inbound: Iterable[Rule], outbound: Iterable[Rule]) -> dict[str, Any]:
    """Write a firewall as POST and PUT take it."""
    return {
        "name": name,
        "tags": [tag],
        "inbound_rules": [_rule_body(rule, "sources") for rule in inbound],
        "outbound_rules": [_rule_body(rule, "destinations") for rule in outbound],
    }


def rules(found: Iterable[Rule]) -> tuple[Rule, ...]:
    """Put rules into the form in which they are compared: sorted, single addresses without a prefix length."""
    return tuple(sorted(replace(rule, addresses=tuple(sorted(map(_address, rule.addresses)))) for rule in found))


def _address(text: str) -> str:
    return text.removesuffix("/32" if "." in text else "/128")


def _rule_body(rule: Rule, peers: str) -> dict[str, Any]:
    peer: dict[str, list[str]] = {}
    if rule.addresses:
        peer["addresses"] = list(rule.addresses)
    if rule.tags:
        peer["tags"] = list(rule.tags)
    return {"protocol": rule.protocol, "ports": rule.ports, peers: peer}
