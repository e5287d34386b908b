"""Reads what a node says of its own boot; a node may be anyone's by then, so every byte is distrusted."""

from __future__ import annotations

import json
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from generator.clock import moment

PHASES = ("prepare", "secrets", "binaries", "roster", "mesh", "etcd", "api", "runtime", "kubelet", "node", "addons")
STATES = ("waiting", "running", "done", "failed")
LIMIT_BYTES = 64 * 1024
LINES = 40
LINE_LENGTH = 300


@dataclass(frozen=True)
class Phase:
    """One step of a node's boot."""

    name: str
    state: str
    since: datetime | None = None
    unit: str = ""


@dataclass(frozen=True)
class Failure:
    """The unit that gave up, and the end of its log."""

    unit: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Progress:
    """How far a node is, by its own account."""

    node: str
    boot_id: str
    generation: int
    phases: tuple[Phase, ...]
    failure: Failure | None = None

    def state(self, phase: str) -> str | None:
        """Give the state of a phase, None when this node has none of that name."""
        return next((one.state for one in self.phases if one.name == phase), None)

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


def read(body: bytes, node: str) -> Progress | None:
    """Read a status object; None when it is no such thing, or another node's."""
    if len(body) > LIMIT_BYTES:
        return None
    try:
        data = json.loads(body)
        if data["version"] != 1 or data["node"] != node:
            return None
        return Progress(
            node=node,
            boot_id=clean(str(data["boot_id"]))[:64],
            generation=int(data.get("generation") or 0),
            phases=tuple(_phase(entry) for entry in data["phases"] if entry["name"] in PHASES),
            failure=_failure(data["failure"]) if data.get("failure") else None,
        )
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError, OverflowError):
        return None


def clean(text: str) -> str:
    r"""Take out everything that would move a terminal's cursor, change its colours or hide text.

    >>> clean("red\x1b[31m\r\n\u202e")
    'red[31m'
    """
    return "".join(char for char in text if char == " " or unicodedata.category(char)[0] not in "CZ")


def _phase(entry: Any) -> Phase:
    state = entry["state"]
    if state not in STATES:
        raise ValueError(state)
    since = moment(entry["since"]) if entry.get("since") else None
    return Phase(entry["name"], state, since, clean(str(entry.get("unit") or ""))[:100])


def _failure(entry: Any) -> Failure:
    lines = entry.get("lines") or []
    return Failure(
        unit=clean(str(entry["unit"]))[:100],
        lines=tuple(clean(str(line))[:LINE_LENGTH] for line in lines[-LINES:]),
    )
