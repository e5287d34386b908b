"""Holds the emulated account: what exists, since when, and how it survives a restart; pure, the time is passed in."""

from __future__ import annotations

import json
import math
import random
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from generator.lab.unkindness import Unkindness


class Refusal(Exception):  # noqa: N818 - it is an answer, not a fault of the lab
    """The API's answer to a request that it doesn't carry out.

    Source: https://docs.digitalocean.com/reference/api/ (errors are `id` and `message`)
    """

    def __init__(self, status: int, identifier: str, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.identifier = identifier
        self.message = message
        self.retry_after = retry_after


def not_found() -> Refusal:
    """Answer as for anything that isn't there."""
    return Refusal(404, "not_found", "The resource you were accessing could not be found.")


def unprocessable(message: str) -> Refusal:
    """Answer that the request makes no sense, or not now."""
    return Refusal(422, "unprocessable_entity", message)


def timestamp(moment: float) -> str:
    """Write a time as the API does."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class Droplet:
    """One droplet: what was ordered, what it got, and the times at which clients learn of it."""

    id: int
    uuid: str
    name: str
    region: str
    size: str
    image: str
    vpc: str
    tags: list[str]
    public_address: str
    vpc_address: str
    user_data: str
    keys: list[int]
    features: list[str]
    action: int
    created: float
    readable: float
    listed: float
    active: float
    placed: float
    destroyed: float | None = None
    unread: float = 0.0
    unlisted: float = 0.0
    left_vpc: float = 0.0
    failed: bool = False
    power: bool = True
    boots: int = 0
    disks: int = 0

    def exists(self, now: float) -> bool:
        """Say whether reading it by number finds it."""
        return now >= self.readable and (self.destroyed is None or now < self.unread)

    def is_listed(self, now: float) -> bool:
        """Say whether lists show it."""
        return now >= self.listed and (self.destroyed is None or now < self.unlisted)

    def is_member(self, now: float) -> bool:
        """Say whether its VPC still counts it."""
        return self.destroyed is None or now < self.left_vpc


@dataclass
class Action:
    """Something asked of a droplet or a volume; it is done when its time has come."""

    id: int
    type: str
    droplet: int
    region: str
    started: float
    completed: float
    resource: str = "droplet"
    errored: bool = False


@dataclass
class Vpc:
    """One private network."""

    id: str
    name: str
    description: str
    region: str
    ip_range: str
    default: bool
    created: float


@dataclass
class Firewall:
    """One set of rules, for droplets by tag and by number."""

    id: str
    name: str
    inbound_rules: list[dict[str, Any]]
    outbound_rules: list[dict[str, Any]]
    droplet_ids: list[int]
    tags: list[str]
    created: float
    settled: float


@dataclass
class Volume:
    """One block device; `droplet` has it or will, from `plugged` on and until `free`."""

    id: str
    name: str
    region: str
    size_gigabytes: int
    description: str
    filesystem_type: str
    filesystem_label: str
    tags: list[str]
    created: float
    droplet: int | None = None
    plugged: float = 0.0
    free: float | None = None
    settled: float = 0.0
    """When the last action on it is over."""

    def holder(self, now: float) -> int | None:
        """Name the droplet that it is attached to, or about to be."""
        return self.droplet if self.free is None or now < self.free else None


@dataclass
class ReservedIp:
    """One reserved address; `droplet` has it or will, from `moved` on, None while nobody does."""

    ip: str
    region: str
    created: float
    droplet: int | None = None
    moved: float = 0.0


@dataclass
class Snapshot:
    """One copy of a droplet's disk; it is there from `ready` on, and `gigabytes` are known then."""

    id: int
    name: str
    region: str
    droplet: int
    action: int
    min_disk: int
    created: float
    ready: float = math.inf
    gigabytes: float = 0.0


@dataclass
class Key:
    """One public key for SSH."""

    id: int
    fingerprint: str
    public_key: str
    name: str
    usable: float


@dataclass
class SpacesKey:
    """One key for Spaces that is limited to buckets; `grants` are pairs of `bucket` and `permission`."""

    id: str
    secret: str
    name: str
    grants: list[dict[str, str]]
    created: float


@dataclass
class Account:
    """Everything one account holds. Destroyed droplets stay for as long as lags may still show them."""

    unkind: Unkindness
    number: int = 3_164_000
    droplets: dict[int, Droplet] = field(default_factory=dict)
    actions: dict[int, Action] = field(default_factory=dict)
    vpcs: dict[str, Vpc] = field(default_factory=dict)
    firewalls: dict[str, Firewall] = field(default_factory=dict)
    volumes: dict[str, Volume] = field(default_factory=dict)
    snapshots: dict[int, Snapshot] = field(default_factory=dict)
    keys: dict[int, Key] = field(default_factory=dict)
    spaces_keys: dict[str, SpacesKey] = field(default_factory=dict)
    reserved_ips: dict[str, ReservedIp] = field(default_factory=dict)
    tags: dict[str, float] = field(default_factory=dict)
    used_addresses: list[str] = field(default_factory=list)
    """In the order in which they were given, or given back."""
    failed_creates: int = 0
    key_lists: list[float] = field(default_factory=list)

    def next_number(self) -> int:
        """Give a number that no other object of the account has."""
        self.number += 7
        return self.number

    def chance(self) -> random.Random:
        """Give a source of chance that is another at each call and yet the same for the same seed and past."""
        return random.Random(f"{self.unkind.seed}/{self.next_number()}")  # noqa: S311 - chance, not secrecy

    def new_uuid(self) -> str:
        """Give an identifier in the provider's form."""
        return str(uuid.UUID(int=self.chance().getrandbits(128), version=4))

    def lag(self, longest: float) -> float:
        """Draw a lag between a half and the whole of the longest."""
        return self.chance().uniform(longest / 2, longest)

    def add_action(self, kind: str, droplet: int, region: str, now: float, completed: float, **what: Any) -> Action:
        """Note that something was asked for, and when it is done."""
        action = Action(self.next_number(), kind, droplet, region, started=now, completed=completed, **what)
        self.actions[action.id] = action
        return action

    def living(self) -> list[Droplet]:
        """List the droplets that are not destroyed, however visible they are, by number."""
        return [droplet for _, droplet in sorted(self.droplets.items()) if droplet.destroyed is None]

    def tagged(self, tag: str) -> list[Droplet]:
        """List the living droplets that carry a tag."""
        return [droplet for droplet in self.living() if tag in droplet.tags]

    def forget(self, now: float) -> None:
        """Drop destroyed droplets that no answer can show any more."""
        for droplet in list(self.droplets.values()):
            if droplet.destroyed is not None and now > max(droplet.unread, droplet.unlisted, droplet.left_vpc):
                del self.droplets[droplet.id]

    def dump(self) -> str:
        """Write the account as JSON; it holds the droplets' user-data, so the file must be private."""
        value = asdict(self)
        for name in _KINDS:
            value[name] = list(value[name].values())
        return json.dumps(value, indent=1)


_KINDS: Mapping[str, type[Any]] = {
    "droplets": Droplet,
    "actions": Action,
    "vpcs": Vpc,
    "firewalls": Firewall,
    "volumes": Volume,
    "snapshots": Snapshot,
    "keys": Key,
    "spaces_keys": SpacesKey,
    "reserved_ips": ReservedIp,
}


def load(text: str) -> Account:
    """Read what `Account.dump` wrote."""
    value: dict[str, Any] = json.loads(text)
    value["unkind"] = Unkindness(**value["unkind"])
    for name, kind in _KINDS.items():
        value[name] = {entry["ip" if kind is ReservedIp else "id"]: kind(**entry) for entry in value[name]}
    return Account(**value)
