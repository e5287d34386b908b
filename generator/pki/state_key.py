"""Writes what a node has to know to put snapshots into their bucket, with a Spaces key that was made or is a person's.

A person's is a file beside a cluster's keys, which the description names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from generator.errors import Problem
from generator.pki import private_directory, sealing
from generator.plan import names
from generator.plan.decide import Plan

VERSION = 1
_HINT = "it holds a key's id and its secret in one line, with mode 0600"


@dataclass(frozen=True)
class Credential:
    """A Spaces key: its id is shown, its secret never is."""

    id: str
    secret: str = field(repr=False)


def read(store_path: Path, plan: Plan) -> Credential | None:
    """Give the key that the description names; None where it names none, or what it names is none."""
    content = private_directory.read(store_path / plan.state_key) if plan.state_key else None
    found = re.fullmatch(r"([A-Z0-9]{16,40})[ \t]+(\S{20,100})\s*", (content or b"").decode(errors="replace"))
    return Credential(found[1], found[2]) if found else None


def mistakes(store_path: Path, plan: Plan) -> Iterator[Problem]:
    """Find out that the file is missing, or holds something else."""
    if plan.state_key is None or read(store_path, plan) is not None:
        return
    path = store_path / plan.state_key
    is_there = private_directory.read(path) is not None
    what = "holds no Spaces key" if is_there else "is not there, and `spaces.state_key` names it"
    yield Problem(what, where=str(path), hint=_HINT)


def text(plan: Plan, endpoint: str, key: Credential) -> bytes:
    """Write where snapshots go, and the key for it, as the text that is sealed for control-plane nodes."""
    values = {
        "version": VERSION,
        "endpoint": endpoint,
        "region": plan.spaces_region,
        "bucket": plan.state_bucket,
        "prefix": names.prefix(plan.name),
        "key_id": key.id,
        "secret": key.secret,
    }
    return sealing.padded(json.dumps(values, sort_keys=True, separators=(",", ":")).encode())
