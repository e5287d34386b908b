"""Reads how the addons of a user's own are, by the cluster's own record; every word of it is doubted."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from generator import bounded
from generator.errors import Problem
from generator.manifests.reading import Identity
from generator.manifests.rules import CLOSED
from generator.plain_text import harmless

STATES = ("applied", "applying", "waiting", "broken", "removed")
LIMIT_ADDONS, LIMIT_KEPT, LIMIT_MORE, LENGTH = 200, 50, 1_000_000, 500
PLACES: Mapping[tuple[str, str], str] = {
    ("", "Namespace"): "/api/v1/namespaces/{name}",
    ("", "PersistentVolume"): "/api/v1/persistentvolumes/{name}",
    ("", "PersistentVolumeClaim"): "/api/v1/namespaces/{namespace}/persistentvolumeclaims/{name}",
    (
        "apiextensions.k8s.io",
        "CustomResourceDefinition",
    ): "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}",
}
"""Where the API has what is kept, by group and kind; nothing else ever is."""
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")


@dataclass(frozen=True)
class AddonState:
    """How one addon is: a word of `STATES`, why, and what is kept of it though it left, as data would go with it.

    `more` counts what is kept besides; the record had no room for its names.
    """

    name: str
    state: str
    why: str = ""
    kept: tuple[Identity, ...] = ()
    more: int = 0

    @property
    def is_well(self) -> bool:
        """Tell whether nothing is still to come of it."""
        return self.state in ("applied", "removed")

    def __str__(self) -> str:
        """Say it in one line."""
        return f"{self.name}: {self.state}" + (f", {self.why}" if self.why else "")


def read(text: str) -> tuple[AddonState, ...]:
    """Read what the record says; what is no such thing says nothing.

    >>> [str(one) for one in read('{"shop": {"state": "waiting", "why": "for base"}}')]
    ['shop: waiting, for base']
    """
    try:
        found = bounded.parse_json(text.encode())
        return tuple(_state(name, one) for name, one in list(found.items())[:LIMIT_ADDONS])
    except (ValueError, KeyError, TypeError, AttributeError):
        return ()


def problems(states: Collection[AddonState]) -> Iterator[Problem]:
    """Say of each that is not up what is to be done."""
    for one in states:
        if not one.is_well:
            hint = "mend it, `gen render`, and launch again; nodes try it again every five minutes"
            why = f": {one.why}" if one.why else ""
            yield Problem(f"the addon is {one.state}{why}", where=one.name, hint=hint)


def _state(name: str, entry: Mapping[str, Any]) -> AddonState:
    if entry["state"] not in STATES:
        raise ValueError(entry["state"])
    kept = [Identity(*map(str, one)) for one in (entry.get("kept") or [])[:LIMIT_KEPT]]
    wrong = [one for one in kept if not _may_be_kept(one)]
    if wrong:
        raise ValueError(wrong)
    why, more = harmless(str(entry.get("why") or ""))[:LENGTH], entry.get("more")
    more = more if isinstance(more, int) and 0 < more < LIMIT_MORE else 0
    return AddonState(harmless(name)[:63], entry["state"], why, tuple(kept), more)


def _may_be_kept(one: Identity) -> bool:
    names = [name for name in (one.namespace, one.name) if name]
    is_ours = (one.kind == "Namespace" and one.name in CLOSED) or one.namespace in CLOSED
    return (one.group, one.kind) in PLACES and not is_ours and all(_NAME.fullmatch(name) for name in names)
