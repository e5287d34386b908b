"""Lists what lies in the bucket for snapshots: what nodes vouch for, what nobody does, and what was left behind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from generator.cluster import snapshots
from generator.cluster.snapshots import MANIFEST_BYTES, Kind, Snapshot, Unbelievable
from generator.plan import names
from generator.plan.decide import Plan
from generator.provider.spaces import Spaces, Stored

SEALED, MANIFEST, VERIFIED = ".age", ".json", ".verified"
LEFT_BEHIND = timedelta(hours=1)
"""A node writes what is sealed first, and its manifest at once after it; what has none so late gets none."""


@dataclass(frozen=True)
class Shelf:
    """What lies in the bucket of one kind, the newest first.

    `doubtful` has the names that nobody vouches for, with the reason; `lone` those without a manifest: a run was cut
    off there. `names` has all, also those that are just written.
    """

    snapshots: tuple[Snapshot, ...]
    doubtful: Mapping[str, str] = field(default_factory=dict)
    lone: tuple[str, ...] = ()
    names: frozenset[str] = frozenset()

    @property
    def newest(self) -> Snapshot | None:
        """Give the newest."""
        return next(iter(self.snapshots), None)

    @property
    def newest_verified(self) -> Snapshot | None:
        """Give the newest of those that were tried."""
        return next((one for one in self.snapshots if one.verified), None)


@dataclass(frozen=True)
class Latest:
    """The newest of one kind, the newest that was tried, and how many manifests there are, whoever wrote them."""

    newest: Snapshot | None
    verified: Snapshot | None
    count: int


class Pile:
    """What the store lists of one kind; a manifest is read when it is asked for."""

    def __init__(self, state: Spaces, plan: Plan, kind: Kind, key: bytes) -> None:
        self._state, self._plan, self._kind, self._key = state, plan, kind, key
        self._start = names.kept_prefix(plan.name, kind)
        self._stored = {one.key.removeprefix(self._start): one for one in state.objects(self._start)}

    def shelf(self, now: datetime) -> Shelf:
        """Read all."""
        found, doubtful = [], {}
        for name in self._named(MANIFEST):
            try:
                found.append(self._read(name))
            except Unbelievable as reason:
                doubtful[name] = str(reason)
        found.sort(key=lambda one: (one.time, one.name), reverse=True)
        lone = {name for ending in (SEALED, VERIFIED) for name in self._named(ending)} - set(self._named(MANIFEST))
        old = sorted(name for name in lone if all(now - one.modified > LEFT_BEHIND for one in self._beside(name)))
        return Shelf(tuple(found), doubtful, tuple(old), frozenset(lone | set(self._named(MANIFEST))))

    def latest(self) -> Latest:
        """Read as few as tell the newest, for there may be a year of them."""
        tried = (name for name in self._named(VERIFIED) if name + MANIFEST in self._stored)
        newest = next(self._believed(self._named(MANIFEST)), None)
        verified = next((one for one in self._believed(tried) if one.verified), None)
        return Latest(newest, verified, len(self._named(MANIFEST)))

    def _named(self, ending: str) -> list[str]:
        """Give the names, which begin with the time, the newest first."""
        return sorted((one.removesuffix(ending) for one in self._stored if one.endswith(ending)), reverse=True)

    def _beside(self, name: str) -> Iterator[Stored]:
        for ending in (SEALED, VERIFIED):
            if name + ending in self._stored:
                yield self._stored[name + ending]

    def _believed(self, found: Iterator[str] | list[str]) -> Iterator[Snapshot]:
        for name in found:
            try:
                yield self._read(name)
            except Unbelievable:
                continue

    def _read(self, name: str) -> Snapshot:
        """Read one manifest, and hold it against what lies beside it.

        Raises:
            Unbelievable: says what is wrong.
        """
        if self._stored[name + MANIFEST].size > MANIFEST_BYTES:
            raise Unbelievable("its manifest is none")
        one = snapshots.read(self._get(name + MANIFEST), self._key, self._plan.cluster_id)
        if (one.name, one.kind) != (name, self._kind):
            raise Unbelievable(f"its manifest is that of {one.kind} {one.name}")
        sealed = self._stored.get(name + SEALED)
        if sealed is None or sealed.size != one.sealed_bytes:
            has = "is gone" if sealed is None else f"has {sealed.size:,} bytes, not {one.sealed_bytes:,}"
            raise Unbelievable(f"what is sealed {has}")
        if name + VERIFIED in self._stored:
            return replace(one, verified=snapshots.verified(self._get(name + VERIFIED), one, self._plan))
        return one

    def _get(self, place: str) -> bytes:
        return self._state.get(self._start + place) or b""
