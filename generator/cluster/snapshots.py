"""Reads what control-plane nodes have kept, snapshots of etcd and dumps of the database, and believes no byte unproved.

To seal something for the operator takes no secret: what vouches for an object is the manifest beside it, with a MAC
that control-plane nodes and the operator alone can make; what vouches for its having been tried is a signature.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from generator import bounded
from generator.clock import moment, stamp
from generator.pki import signature
from generator.pki.signature import Unreadable, Unsigned
from generator.plan.decide import Plan

CONTEXT = "hardway-snapshot-v1"
VERSION = 1
MANIFEST_BYTES = 16 * 1024
Kind = Literal["etcd", "database"]
ETCD: Kind = "etcd"
DATABASE: Kind = "database"
KINDS: tuple[Kind, ...] = (ETCD, DATABASE)

_Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
_Name = Annotated[str, StringConstraints(pattern=r"^[0-9]{8}T[0-9]{6}Z-[a-z0-9-]{1,63}$")]
_Count = Annotated[int, Field(strict=True, ge=0, le=2**63)]
_Time = Annotated[str, StringConstraints(pattern=r"^[0-9]{4}(-[0-9]{2}){2}T[0-9]{2}(:[0-9]{2}){2}Z$")]


class Unbelievable(ValueError):  # noqa: N818 - says what it is
    """A manifest, or what it speaks of, is not what a control-plane node of this cluster has kept."""


class _Manifest(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1]
    kind: Kind
    name: _Name
    cluster_id: Annotated[str, StringConstraints(max_length=64)]
    node: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,63}$")]
    time: _Time
    plain_sha256: _Digest
    plain_bytes: _Count
    sealed_sha256: _Digest
    sealed_bytes: _Count
    revision: _Count | None = None
    hash: _Count | None = None
    compact_revision: Annotated[int, Field(strict=True, ge=-1, le=2**63)] | None = None
    keys: _Count | None = None
    etcd: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}$")] | None = None


@dataclass(frozen=True)
class Snapshot:
    """One thing that was kept; `verified` is when somebody with the operator's key has last tried it."""

    kind: Kind
    name: str
    node: str
    time: datetime
    plain_sha256: str
    plain_bytes: int
    sealed_sha256: str
    sealed_bytes: int
    revision: int | None = None
    hash: int | None = None
    compact_revision: int | None = None
    keys: int | None = None
    etcd: str | None = None
    verified: datetime | None = None

    def facts(self, now: datetime) -> dict[str, Any]:
        """Give it as plain values."""
        return {
            "kind": self.kind,
            "name": self.name,
            "node": self.node,
            "time": stamp(self.time),
            "age_seconds": int((now - self.time).total_seconds()),
            "bytes": self.sealed_bytes,
            "revision": self.revision,
            "keys": self.keys,
            "etcd": self.etcd,
            "verified": stamp(self.verified) if self.verified else None,
        }


def read(text: bytes, key: bytes, cluster_id: str) -> Snapshot:
    """Read a manifest.

    Args:
        key: the 32 bytes with which control-plane nodes vouch for it.

    Raises:
        Unbelievable: it says something else than they do, in words.
    """
    try:
        wrapper = bounded.parse_json(text)
        payload, mac = wrapper["payload"], base64.b64decode(wrapper["mac"] or "", validate=True)
        digest = hmac.digest(key, f"{CONTEXT}\n{payload}".encode(), "sha256")
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error) as error:
        raise Unbelievable("its manifest is none") from error
    if not hmac.compare_digest(mac, digest):
        raise Unbelievable("no control-plane node of this cluster vouches for it")
    try:
        values = bounded.parse_json(payload)
        if values.get("version") != VERSION:
            raise Unbelievable(f"its manifest is of version {str(values.get('version'))[:20]}, {VERSION} is known here")
        said = _Manifest.model_validate(values)
    except (ValidationError, ValueError, AttributeError) as error:
        if isinstance(error, Unbelievable):
            raise
        raise Unbelievable("its manifest is of another form") from error
    if said.cluster_id != cluster_id:
        raise Unbelievable(f"it is of cluster {said.cluster_id}, not of {cluster_id}")
    if said.kind == ETCD and None in (said.revision, said.hash, said.keys, said.etcd):
        raise Unbelievable("its manifest lacks what is in it")
    facts = said.model_dump(exclude={"version", "cluster_id", "time"})
    return Snapshot(**facts, time=moment(said.time))


def vouch(snapshot: Snapshot, plan: Plan, key: Ed25519PrivateKey, now: datetime) -> bytes:
    """Write the operator's word that a snapshot was tried."""
    payload = {
        "version": VERSION,
        "cluster_id": plan.cluster_id,
        "kind": snapshot.kind,
        "name": snapshot.name,
        "sealed_sha256": snapshot.sealed_sha256,
        "time": stamp(now),
    }
    return signature.sign(signature.VERIFIED, json.dumps(payload), key)


def verified(text: bytes, snapshot: Snapshot, plan: Plan) -> datetime | None:
    """Give when the operator has tried it; nothing where somebody else says so."""
    try:
        said = signature.verify(signature.VERIFIED, text, plan.operator_public_key)
        whose = tuple(said.get(name) for name in ("cluster_id", "kind", "name", "sealed_sha256"))
        is_its = whose == (plan.cluster_id, snapshot.kind, snapshot.name, snapshot.sealed_sha256)
        return moment(said["time"]) if is_its else None
    except (Unsigned, Unreadable, ValueError, KeyError, TypeError, AttributeError):
        return None


def surplus(snapshots: Sequence[Snapshot], plan: Plan) -> tuple[Snapshot, ...]:
    """Give those that the description no longer keeps: of each hour, day and week the last one stays, of so many.

    The newest stays in any case, and so does the newest that was verified.
    """
    kept = plan.kept
    ordered = sorted(snapshots, key=lambda one: (one.time, one.name), reverse=True)
    stay = {next(iter(ordered), None), next((one for one in ordered if one.verified), None)}
    periods = (("%Y%m%dT%H", kept.hourly), ("%Y%m%d", kept.daily), ("%G-%V", kept.weekly))
    for form, count in periods:
        stay |= set(_last_of_each(ordered, form, count))
    return tuple(one for one in ordered if one not in stay)


def _last_of_each(ordered: Sequence[Snapshot], form: str, count: int) -> Iterator[Snapshot]:
    seen: set[str] = set()
    for one in ordered:
        period = f"{one.time:{form}}"
        if period in seen:
            continue
        seen.add(period)
        if len(seen) > count:
            return
        yield one
