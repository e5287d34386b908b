"""Reads what a node says of itself; a node may be anyone's by then, so every byte is distrusted."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from generator.catalogue import MOST_VOLUMES
from generator.clock import moment
from generator.cluster.ways import Ways, read_told
from generator.plain_text import clean

PHASES = (
    "prepare",
    "secrets",
    "binaries",
    "roster",
    "mesh",
    "etcd",
    "api",
    "runtime",
    "volumes",
    "kubelet",
    "node",
    "addons",
)
UNVOUCHED = ("prepare", "secrets")
"""What a node can't vouch for: it has no key before it has its bundle."""
STATES = ("waiting", "running", "done", "failed")
CONTEXT = "hardway-report-v1"
VERSION = 2
LIMIT_BYTES = 64 * 1024
LINES = 40
LINE_LENGTH = 300
SPANS, WAITS = 60, 40
"""So many steps of a timeline are read, and so many waits of each."""


@dataclass(frozen=True)
class Phase:
    """One step of a node's boot."""

    name: str
    state: str
    since: datetime | None = None
    unit: str = ""


@dataclass(frozen=True)
class Member:
    """One member of etcd, as a quorum knows it."""

    id: str
    name: str
    learner: bool


@dataclass(frozen=True)
class Etcd:
    """What etcd is like, seen from one node; `trouble` is why nothing can be told, and then that is all.

    `mib` is how large its data is, of `most_mib` that it may have; 0 where the node doesn't tell.
    """

    member: str = ""
    leader: str = ""
    learner: bool = False
    members: tuple[Member, ...] = ()
    alarms: tuple[str, ...] = ()
    trouble: str = ""
    mib: int = 0
    most_mib: int = 0


@dataclass(frozen=True)
class VolumeUse:
    """How one mounted volume is: how full, in percent and in steps, and why it takes nothing, if that is so."""

    name: str
    percent: int
    trouble: str = ""


@dataclass(frozen=True)
class Failure:
    """The unit that gave up, and the end of its log."""

    unit: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Wait:
    """What a step waited for, as the first look at it said."""

    began: datetime
    ended: datetime
    cause: str


@dataclass(frozen=True)
class Span:
    """One step of a boot or of a launch; `ended` is None while it lasts, `after` names what had to be over before."""

    name: str
    began: datetime
    ended: datetime | None = None
    after: tuple[str, ...] = ()
    waits: tuple[Wait, ...] = ()


@dataclass(frozen=True)
class Progress:
    """How far a node is, by its own account.

    `droplet` is the number of the droplet that it is, 0 where it can't tell; `generation` that of the roster it
    follows; `digests` are of the agent and the bundle it runs on; `paths` is None before it has probed any.
    """

    node: str
    generation: int
    phases: tuple[Phase, ...]
    failure: Failure | None = None
    droplet: int = 0
    etcd: Etcd | None = None
    digests: Mapping[str, str] = field(default_factory=dict)
    volumes: tuple[VolumeUse, ...] = ()
    paths: Ways | None = None
    timeline: tuple[Span, ...] = ()

    @cached_property
    def _states(self) -> Mapping[str, str]:
        return {one.name: one.state for one in reversed(self.phases)}

    def state(self, phase: str) -> str | None:
        """Give the state of a phase, None when this node has none of that name."""
        return self._states.get(phase)

    def done(self, phase: str) -> bool:
        """Tell whether a phase is over."""
        return self.state(phase) == "done"

    @property
    def current(self) -> Phase | None:
        """Give the phase that failed, else the first that is not over."""
        failed = (one for one in self.phases if one.state == "failed")
        open_ = (one for one in self.phases if one.state != "done")
        return next(failed, None) or next(open_, None)

    @property
    def complete(self) -> bool:
        """Tell whether all phases are over."""
        return bool(self.phases) and all(one.state == "done" for one in self.phases)


@dataclass(frozen=True)
class Said:
    """What a wrapper held: the payload, and whether the node's own key vouches for it."""

    values: Mapping[str, Any]
    is_vouched: bool


def unwrap(context: str, text: bytes | str, node: str, cluster_id: str, key: bytes | None) -> Said | None:
    """Open what a node has wrapped; None when it is no such thing, or another node's.

    Args:
        context: what the MAC is for; one that was given for something else vouches for nothing here.
        key: the node's, None where the operator's keys are not at hand: then nothing is vouched for.
    """
    if len(text) > LIMIT_BYTES:
        return None
    try:
        wrapper = json.loads(text)
        payload, mac = wrapper["payload"], wrapper["mac"]
        values = json.loads(payload)
        if values["node"] != node:
            return None
        found = b"" if mac is None or key is None else base64.b64decode(mac, validate=True)
        wanted = hmac.digest(key or b"", f"{context}\n{payload}".encode(), "sha256")
        is_vouched = hmac.compare_digest(found, wanted) and values["cluster_id"] == cluster_id
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        return None
    return Said(values, is_vouched)


def read(text: bytes | str, node: str, cluster_id: str, key: bytes | None) -> tuple[Progress, datetime, bool] | None:
    """Read a report: what it says, when it was given by the node's clock, and whether the node vouches for it.

    None when it is no report. A node without its bundle can't vouch yet, so what is not vouched for tells no more than
    the phases until then.
    """
    said = unwrap(CONTEXT, text, node, cluster_id, key)
    if said is None:
        return None
    data = said.values
    try:
        if data["version"] != VERSION:
            return None
        droplet = str(data.get("droplet") or "")
        phases = tuple(_phase(entry) for entry in data["phases"] if entry["name"] in PHASES)
        if not said.is_vouched:
            phases = tuple(one if one.name in UNVOUCHED else _unknown(one) for one in phases)
        progress = Progress(
            node=node,
            generation=int(data.get("generation") or 0),
            phases=phases,
            failure=_failure(data["failure"]) if data.get("failure") else None,
            droplet=int(droplet) if droplet.isascii() and droplet.isdigit() and len(droplet) < 20 else 0,
            etcd=read_etcd(data["etcd"]) if data.get("etcd") else None,
            digests={str(name)[:20]: clean(str(value))[:64] for name, value in (data.get("digests") or {}).items()},
            volumes=tuple(map(_volume_use, data.get("volumes") or ()))[:MOST_VOLUMES],
            paths=read_told(data["paths"]) if data.get("paths") else None,
            timeline=read_spans(data.get("timeline") or (), SPANS) if said.is_vouched else (),
        )
        return progress, moment(data["time"]), said.is_vouched
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError, OverflowError):
        return None


def read_etcd(entry: Any) -> Etcd:
    """Read what a node says of etcd.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: it is no such thing.
    """
    if "trouble" in entry:
        return Etcd(trouble=clean(str(entry["trouble"]))[:LINE_LENGTH])
    members = [Member(_hex(one["id"]), clean(str(one["name"]))[:63], bool(one["learner"])) for one in entry["members"]]
    alarms = tuple(clean(str(alarm))[:100] for alarm in entry.get("alarms") or ())
    return Etcd(
        member=_hex(entry["member"]),
        leader=_hex(entry["leader"]),
        learner=bool(entry["learner"]),
        members=tuple(members[:32]),
        alarms=alarms[:8],
        mib=max(0, int(entry.get("mib") or 0)),
        most_mib=max(0, int(entry.get("most_mib") or 0)),
    )


def read_spans(entries: Any, most: int) -> tuple[Span, ...]:
    """Read steps, at most so many.

    Raises:
        KeyError, TypeError, ValueError, AttributeError, OverflowError: they are no such thing.
    """
    return tuple(map(_span, entries[:most]))


def _phase(entry: Any) -> Phase:
    state = entry["state"]
    if state not in STATES:
        raise ValueError(state)
    since = moment(entry["since"]) if entry.get("since") else None
    return Phase(entry["name"], state, since, clean(str(entry.get("unit") or ""))[:100])


def _volume_use(entry: Any) -> VolumeUse:
    percent = min(100, max(0, int(entry["percent"])))
    return VolumeUse(clean(str(entry["name"]))[:20], percent, clean(str(entry.get("trouble") or ""))[:100])


def _span(entry: Any) -> Span:
    ended = moment(entry["ended"]) if entry.get("ended") else None
    waits = tuple(
        Wait(moment(one["began"]), moment(one["ended"]), clean(str(one["for"]))[:LINE_LENGTH])
        for one in (entry.get("waits") or ())[:WAITS]
    )
    after = tuple(clean(str(name))[:40] for name in (entry.get("after") or ())[:SPANS])
    return Span(clean(str(entry["name"]))[:40], moment(entry["began"]), ended, after, waits)


def _unknown(phase: Phase) -> Phase:
    return Phase(phase.name, "waiting", None, phase.unit)


def _failure(entry: Any) -> Failure:
    lines = entry.get("lines") or []
    return Failure(
        unit=clean(str(entry["unit"]))[:100],
        lines=tuple(clean(str(line))[:LINE_LENGTH] for line in lines[-LINES:]),
    )


def _hex(text: Any) -> str:
    return f"{int(str(text)[:16], 16):x}"
