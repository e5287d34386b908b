"""Writes, signs and verifies the book: the one object that changes while a cluster lives."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Address
from typing import Any, Literal, get_args

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from generator.clock import moment, stamp
from generator.errors import Problem
from generator.plan.decide import Plan

VERSION = 1
_CONTEXT = b"hardway-book-v1\n"

EtcdState = Literal["new", "existing"]


@dataclass(frozen=True)
class Etcd:
    """Whether etcd may form a new cluster: only with state `new`, and only before `new_until`."""

    state: EtcdState
    token: str
    new_until: datetime


@dataclass(frozen=True)
class Entry:
    """One node in the book; without a droplet it has no endpoint."""

    name: str
    number: int
    address: str
    pod_cidr: str
    wireguard: str
    endpoint: IPv4Address | None


@dataclass(frozen=True)
class Book:
    """What one generation of the book says; `addons` is the SHA-256 of the addons archive in force."""

    cluster_id: str
    generation: int
    time: datetime
    nodes: tuple[Entry, ...]
    etcd: Etcd
    addons: str


def compose(
    plan: Plan,
    *,
    generation: int,
    time: datetime,
    endpoints: Mapping[str, IPv4Address],
    etcd: Etcd,
    addons_sha256: str,
) -> Book:
    """Put the reviewed part of the book together with what only a launch knows.

    Args:
        endpoints: VPC address of each node that has a droplet, by the node's name.
    """
    nodes = tuple(Entry(**reviewed, endpoint=endpoints.get(reviewed["name"])) for reviewed in _nodes(plan))
    return Book(plan.cluster_id, generation, time, nodes, etcd, addons_sha256)


def next_generation(previous: int | None, *, now: datetime) -> int:
    """Number the next book by the time in seconds: it never goes back, were the object lost or an old one put back."""
    return max((previous or 0) + 1, int(now.timestamp()))


def payload(book: Book) -> str:
    """Write a book as the JSON text that is signed."""
    nodes = [{**entry.__dict__, "endpoint": str(entry.endpoint) if entry.endpoint else None} for entry in book.nodes]
    etcd = {"state": book.etcd.state, "token": book.etcd.token, "new_until": stamp(book.etcd.new_until)}
    return _json(
        {
            "version": VERSION,
            "cluster_id": book.cluster_id,
            "generation": book.generation,
            "time": stamp(book.time),
            "nodes": nodes,
            "etcd": etcd,
            "addons": book.addons,
        }
    )


def sign(text: str, key: Ed25519PrivateKey) -> bytes:
    """Wrap a payload with the operator's signature: the object as nodes fetch it."""
    signature = base64.b64encode(key.sign(_CONTEXT + text.encode())).decode()
    return f"{_json({'version': VERSION, 'payload': text, 'signature': signature})}\n".encode()


def verify(data: bytes, public_key: str, *, cluster_id: str) -> Book:
    """Read a signed book.

    Args:
        data: the object as it was fetched; nothing of it is believed before its signature.
        public_key: the operator's, base64 of 32 raw bytes.
        cluster_id: the cluster whose book it has to be.

    Raises:
        Problem: it is not signed by this operator, is another cluster's, or is of a format not known here.
    """
    signer = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key, validate=True))
    try:
        wrapper = json.loads(data)
        text, signature = wrapper["payload"], base64.b64decode(wrapper["signature"], validate=True)
        signer.verify(signature, _CONTEXT + text.encode())
    except InvalidSignature as error:
        raise Problem("the book is not signed by this cluster's operator", hint=_HINT) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, binascii.Error) as error:
        raise Problem("the book can't be read: it is no signed JSON", hint=_HINT) from error
    values = json.loads(text)
    if values["version"] != VERSION:
        hint = "a newer `gen` wrote it; use that one"
        raise Problem(f"the book is of version {values['version']}, this program reads {VERSION}", hint=hint)
    if values["cluster_id"] != cluster_id:
        raise Problem(f"the book is of cluster {values['cluster_id']}, not of {cluster_id}", hint=_HINT)
    return _read(values)


def reviewed(plan: Plan, addons_sha256: str) -> str:
    """Write the part of the book that is decided before any launch, to be committed and read: `book.json`."""
    values = {"version": VERSION, "cluster_id": plan.cluster_id, "nodes": _nodes(plan), "addons": addons_sha256}
    return json.dumps(values, indent=2) + "\n"


_HINT = "remove the object only if you know who put it there; the next `gen launch` writes it anew"


def _nodes(plan: Plan) -> list[dict[str, Any]]:
    return [
        {
            "name": node.name,
            "number": node.number,
            "address": str(node.address),
            "pod_cidr": str(node.pod_cidr),
            "wireguard": node.wireguard_public_key,
        }
        for node in plan.nodes
    ]


def _read(values: Mapping[str, Any]) -> Book:
    state = values["etcd"]["state"]
    if state not in get_args(EtcdState):
        raise Problem(f"the book says that etcd is `{state}`", hint="a newer `gen` wrote it; use that one")
    nodes = tuple(
        Entry(**{**entry, "endpoint": IPv4Address(entry["endpoint"]) if entry["endpoint"] else None})
        for entry in values["nodes"]
    )
    etcd = Etcd(state, values["etcd"]["token"], moment(values["etcd"]["new_until"]))
    time = moment(values["time"])
    return Book(values["cluster_id"], values["generation"], time, nodes, etcd, values["addons"])


def _json(values: Mapping[str, Any]) -> str:
    return json.dumps(values, separators=(",", ":"))
