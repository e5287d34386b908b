"""Writes, signs and verifies the roster: the one object that changes while a cluster lives."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from ipaddress import IPv4Address
from typing import Any, Literal, get_args

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from generator.clock import moment, stamp
from generator.errors import Problem
from generator.pki import signature
from generator.pki.signature import Unreadable, Unsigned
from generator.plan.decide import Plan

VERSION = 2
LIMIT_BYTES = 1024 * 1024
"""Of the object; a roster of 255 nodes has a tenth of it."""

EtcdState = Literal["new", "restoring", "existing"]


@dataclass(frozen=True)
class Etcd:
    """Whether etcd may form a new cluster: only with state `new`, and only before `new_until`.

    `snapshot` is the SHA-256 of what is restored while the state is `restoring`, None in every other.
    """

    state: EtcdState
    token: str
    new_until: datetime
    snapshot: str | None = None


@dataclass(frozen=True)
class Founding:
    """What a cluster was founded with; none of it changes while it lives."""

    vpc: str
    nodes: str
    pods: str
    services: str
    domain: str
    datapath: str


@dataclass(frozen=True)
class Entry:
    """One node in the roster; without a droplet it has no endpoint, without a reserved address no public one."""

    name: str
    number: int
    role: str
    address: str
    pod_cidr: str
    wireguard: str
    endpoint: IPv4Address | None
    public: IPv4Address | None = None


@dataclass(frozen=True)
class Roster:
    """What one generation of the roster says.

    `addons` and `secrets` are the SHA-256 of the archives in force: of the addons, and of what they keep
    secret, as it is sealed. `state_access` is that of the sealed way to the bucket for snapshots, None without any.
    """

    cluster_id: str
    generation: int
    time: datetime
    founding: Founding
    nodes: tuple[Entry, ...]
    etcd: Etcd
    addons: str
    secrets: str | None = None
    state_access: str | None = None


def compose(
    plan: Plan,
    *,
    generation: int,
    time: datetime,
    endpoints: Mapping[str, IPv4Address],
    etcd: Etcd,
    addons_sha256: str,
    secrets_sha256: str | None = None,
    state_access: str | None = None,
    public: Mapping[str, IPv4Address] | None = None,
) -> Roster:
    """Put the reviewed part of the roster together with what only a launch knows.

    Args:
        endpoints: VPC address of each node that has a droplet, by the node's name.
        public: the address of each node that keeps one.
    """
    nodes = tuple(
        Entry(**reviewed, endpoint=endpoints.get(reviewed["name"]), public=(public or {}).get(reviewed["name"]))
        for reviewed in _nodes(plan)
    )
    founded = founding(plan)
    return Roster(plan.cluster_id, generation, time, founded, nodes, etcd, addons_sha256, secrets_sha256, state_access)


def founding(plan: Plan) -> Founding:
    """Give what a cluster of this plan is founded with."""
    return Founding(
        vpc=str(plan.vpc),
        nodes=str(plan.node_cidr),
        pods=str(plan.pod_cidr),
        services=str(plan.service_cidr),
        domain=plan.cluster_domain,
        datapath=plan.datapath,
    )


def next_generation(previous: int | None, *, now: datetime) -> int:
    """Number the next roster by the time in seconds: it never goes back, even when the object was lost or replaced."""
    return max((previous or 0) + 1, int(now.timestamp()))


def payload(roster: Roster) -> str:
    """Write a roster as the JSON text that is signed."""
    return _json(
        {
            "version": VERSION,
            "cluster_id": roster.cluster_id,
            "generation": roster.generation,
            "time": stamp(roster.time),
            "founding": asdict(roster.founding),
            "nodes": [
                {**asdict(entry), "endpoint": _text(entry.endpoint), "public": _text(entry.public)}
                for entry in roster.nodes
            ],
            "etcd": {**asdict(roster.etcd), "new_until": stamp(roster.etcd.new_until)},
            "addons": roster.addons,
            "secrets": roster.secrets,
            "state_access": roster.state_access,
        }
    )


def sign(text: str, key: Ed25519PrivateKey) -> bytes:
    """Wrap a payload with the operator's signature: the object as nodes fetch it."""
    return signature.sign(signature.ROSTER, text, key)


def verify(data: bytes, public_key: str, *, cluster_id: str) -> Roster:
    """Read a signed roster.

    Args:
        data: the object as it was fetched; nothing of it is believed before its signature.
        public_key: the operator's, base64 of 32 raw bytes.
        cluster_id: the cluster whose roster it has to be.

    Raises:
        Problem: it is not signed by this operator, is another cluster's, or is of a format not known here.
    """
    try:
        values = signature.verify(signature.ROSTER, data, public_key)
    except Unsigned as error:
        raise Problem("the roster is not signed by this cluster's operator", hint=_HINT) from error
    except Unreadable as error:
        raise Problem("the roster can't be read: it is no signed JSON", hint=_HINT) from error
    if values["version"] != VERSION:
        hint = "another `gen` wrote it; use that one"
        raise Problem(f"the roster is of version {values['version']}, this program reads {VERSION}", hint=hint)
    if values["cluster_id"] != cluster_id:
        raise Problem(f"the roster is of cluster {values['cluster_id']}, not of {cluster_id}", hint=_HINT)
    return _read(values)


def reviewed(plan: Plan, addons_sha256: str, secrets_sha256: str | None = None) -> str:
    """Write the part of the roster that is decided before any launch, to be committed and read: `roster.json`."""
    values = {
        "version": VERSION,
        "cluster_id": plan.cluster_id,
        "founding": asdict(founding(plan)),
        "nodes": [
            {**entry, **({"public": "reserved"} if node.reserved else {})}
            for entry, node in zip(_nodes(plan), plan.nodes, strict=True)
        ],
        "addons": addons_sha256,
        "secrets": secrets_sha256,
    }
    return json.dumps(values, indent=2) + "\n"


_HINT = "remove the object only if you know who put it there; the next `gen launch` writes it anew"


def _nodes(plan: Plan) -> list[dict[str, Any]]:
    return [
        {
            "name": node.name,
            "number": node.number,
            "role": node.role,
            "address": str(node.address),
            "pod_cidr": str(node.pod_cidr),
            "wireguard": node.wireguard_public_key,
        }
        for node in plan.nodes
    ]


def _read(values: Mapping[str, Any]) -> Roster:
    state = values["etcd"]["state"]
    if state not in get_args(EtcdState):
        raise Problem(f"the roster says that etcd is `{state}`", hint="a newer `gen` wrote it; use that one")
    return Roster(
        cluster_id=values["cluster_id"],
        generation=values["generation"],
        time=moment(values["time"]),
        founding=Founding(**values["founding"]),
        nodes=tuple(
            Entry(**{**entry, "endpoint": _address(entry["endpoint"]), "public": _address(entry["public"])})
            for entry in values["nodes"]
        ),
        etcd=Etcd(**{**values["etcd"], "new_until": moment(values["etcd"]["new_until"])}),
        addons=values["addons"],
        secrets=values["secrets"],
        state_access=values.get("state_access"),
    )


def _text(address: IPv4Address | None) -> str | None:
    return str(address) if address else None


def _address(text: str | None) -> IPv4Address | None:
    return IPv4Address(text) if text else None


def _json(values: Mapping[str, Any]) -> str:
    return json.dumps(values, separators=(",", ":"))
