"""Turns DigitalOcean's answers into values; what is not as it should be raises, whatever else it is.

Source: https://docs.digitalocean.com/reference/api/
"""

from __future__ import annotations

from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv4Network
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from generator.provider.resources import (
    Account,
    Droplet,
    Event,
    Firewall,
    Json,
    ReservedIp,
    Rule,
    Size,
    Snapshot,
    SpacesKey,
    SshKey,
    Volume,
    Vpc,
    rules,
)

# What an answer has to look like. New fields are passed over, and null stands for nothing, as it often does there.
T = TypeVar("T")
_Several = Annotated[list[T], BeforeValidator(lambda value: [] if value is None else value)]
_Word = Annotated[str, Field(max_length=255)]


def _written(value: Any) -> str:
    """Take what is written out: a number is an address to Python, too."""
    if not isinstance(value, str):
        raise ValueError(f"not text: {type(value).__name__}")
    return value


_Network = Annotated[IPv4Network, BeforeValidator(_written)]
_IpAddress = Annotated[IPv4Address, BeforeValidator(_written)]


MESSAGE_LENGTH = 300
"""How much is shown of what the provider says of an account."""


class _Shape(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _Account(_Shape):
    droplet_limit: int
    status: _Word
    status_message: str | None = None
    reserved_ip_limit: int | None = None
    floating_ip_limit: int | None = None
    volume_limit: int | None = None


class _Size(_Shape):
    slug: _Word
    regions: _Several[_Word]
    available: bool
    price_monthly: float


class _Image(_Shape):
    regions: _Several[_Word]


class _Snapshot(_Shape):
    id: int
    name: _Word
    type: _Word
    regions: _Several[_Word]
    min_disk_size: int
    size_gigabytes: float
    created_at: datetime
    status: _Word = "available"


class _Event(_Shape):
    id: int
    type: _Word
    status: _Word


class _Meta(_Shape):
    total: int


class _Tag(_Shape):
    name: _Word


class _Vpc(_Shape):
    id: _Word
    name: _Word
    description: str | None = None
    region: _Word
    ip_range: _Network
    default: bool | None = None


class _SshKey(_Shape):
    id: int
    name: str
    fingerprint: _Word


class _Grant(_Shape):
    bucket: _Word = ""
    permission: _Word


class _SpacesKey(_Shape):
    name: str
    access_key: _Word
    secret_key: _Word | None = None
    grants: _Several[_Grant] = []


class _Address(_Shape):
    type: Literal["public", "private"]
    ip_address: _IpAddress


class _Networks(_Shape):
    v4: _Several[_Address] = []


class _Region(_Shape):
    slug: _Word


class _Holder(_Shape):
    id: int


class _ReservedIp(_Shape):
    ip: _IpAddress
    region: _Region
    droplet: _Holder | None = None


class _Droplet(_Shape):
    id: int
    name: _Word
    status: _Word
    region: _Region
    size_slug: _Word
    tags: _Several[_Word]
    created_at: datetime
    vpc_uuid: str | None = None
    networks: _Networks | None = None
    snapshot_ids: _Several[int] = []


class _Peer(_Shape):
    addresses: _Several[_Word] = []
    tags: _Several[_Word] = []


class _Rule(_Shape):
    protocol: _Word
    ports: _Word | None = None
    sources: _Peer | None = None
    destinations: _Peer | None = None


class _Volume(_Shape):
    id: _Word
    name: _Word
    region: _Region
    size_gigabytes: int
    description: str | None = None
    droplet_ids: _Several[int] = []


class _Firewall(_Shape):
    id: _Word
    name: _Word
    status: _Word
    tags: _Several[_Word] = []
    inbound_rules: _Several[_Rule] = []
    outbound_rules: _Several[_Rule] = []
    pending_changes: _Several[Any] = []


def account(data: Json) -> Account:
    """Read an account."""
    answer = _Account.model_validate(data)
    message = (answer.status_message or "")[:MESSAGE_LENGTH]
    # By the name of today, or the one that it had.
    limits = [one for one in (answer.reserved_ip_limit, answer.floating_ip_limit) if one is not None]
    known = {"address_limit": limits[0]} if limits else {}
    return Account(answer.droplet_limit, answer.status, message, volume_limit=answer.volume_limit, **known)


def size(data: Json) -> Size | None:
    """Read a droplet size; None where it is of a form that is not known here: there are many others."""
    try:
        answer = _Size.model_validate(data)
    except ValidationError:
        return None
    return Size(answer.slug, tuple(answer.regions), answer.available, answer.price_monthly)


def image_regions(data: Json) -> tuple[str, ...]:
    """Read where an image can be had."""
    return tuple(_Image.model_validate(data).regions)


def snapshot(data: Json) -> Snapshot | None:
    """Read a snapshot of a droplet; None where a private image is something else, or of a form not known here."""
    try:
        answer = _Snapshot.model_validate(data)
    except ValidationError:
        return None
    if answer.type != "snapshot":
        return None
    return Snapshot(
        answer.id,
        answer.name,
        tuple(answer.regions),
        answer.min_disk_size,
        answer.size_gigabytes,
        _utc(answer.created_at),
        is_ready=answer.status == "available",
    )


def event(data: Json) -> Event:
    """Read what something was asked to do, and how far that is."""
    answer = _Event.model_validate(data)
    return Event(answer.id, answer.type, answer.status)


def total(data: Json) -> int:
    """Read how many entries a list has on all of its pages."""
    return _Meta.model_validate(data).total


def vpc(data: Json) -> Vpc:
    """Read a VPC."""
    answer = _Vpc.model_validate(data)
    return Vpc(answer.id, answer.name, answer.description or "", answer.region, answer.ip_range, bool(answer.default))


def volume(data: Json) -> Volume:
    """Read a volume; it is at one droplet at most."""
    answer = _Volume.model_validate(data)
    holder = next(iter(answer.droplet_ids), None)
    return Volume(answer.id, answer.name, answer.region.slug, answer.size_gigabytes, answer.description or "", holder)


def ssh_key(data: Json) -> SshKey:
    """Read a registered public key."""
    answer = _SshKey.model_validate(data)
    return SshKey(answer.id, answer.name, answer.fingerprint)


def reserved_ip(data: Json) -> ReservedIp:
    """Read a reserved address."""
    answer = _ReservedIp.model_validate(data)
    return ReservedIp(str(answer.ip), answer.region.slug, answer.droplet.id if answer.droplet else None)


def spaces_key(data: Json) -> SpacesKey:
    """Read a key for Spaces; its secret is told once, when it is made."""
    answer = _SpacesKey.model_validate(data)
    grants = tuple(sorted((one.bucket, one.permission) for one in answer.grants))
    return SpacesKey(answer.access_key, answer.name, grants, answer.secret_key)


def tag(data: Json) -> str:
    """Read a tag's name."""
    return _Tag.model_validate(data).name


def droplet(data: Json) -> Droplet:
    """Read a droplet, also one that was accepted a moment ago and has neither VPC nor addresses."""
    answer = _Droplet.model_validate(data)
    addresses = {entry.type: str(entry.ip_address) for entry in answer.networks.v4} if answer.networks else {}
    return Droplet(
        id=answer.id,
        name=answer.name,
        status=answer.status,
        region=answer.region.slug,
        size=answer.size_slug,
        tags=tuple(sorted(answer.tags)),
        created=_utc(answer.created_at),
        vpc=answer.vpc_uuid or None,
        public=addresses.get("public"),
        private=addresses.get("private"),
        snapshots=tuple(answer.snapshot_ids),
    )


def firewall(data: Json) -> Firewall:
    """Read a firewall, its rules in an order of their own so that two can be compared."""
    answer = _Firewall.model_validate(data)
    return Firewall(
        id=answer.id,
        name=answer.name,
        tags=tuple(sorted(answer.tags)),
        inbound=rules(_rule(entry, entry.sources) for entry in answer.inbound_rules),
        outbound=rules(_rule(entry, entry.destinations) for entry in answer.outbound_rules),
        settled=answer.status == "succeeded" and not answer.pending_changes,
    )


def _rule(answer: _Rule, peer: _Peer | None) -> Rule:
    ports = answer.ports or "0"
    return Rule(
        protocol=answer.protocol,
        ports="0" if ports in ("all", "1-65535") else ports,
        addresses=tuple(sorted(peer.addresses)) if peer else (),
        tags=tuple(sorted(peer.tags)) if peer else (),
    )


def _utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
