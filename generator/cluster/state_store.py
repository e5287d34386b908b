"""Holds what a cluster keeps outside of its nodes: the bucket for it, and the keys that prove and open it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path

from generator.clock import Clock
from generator.cluster import scratch_etcd, snapshots, trial
from generator.cluster.phase_table import age
from generator.cluster.shelf import Latest, Pile, Shelf
from generator.cluster.snapshots import Kind, Snapshot
from generator.errors import Problem
from generator.pki import store as keys
from generator.plan import names
from generator.plan.project import Project
from generator.provider.connection import Connection
from generator.provider.spaces import Spaces
from generator.provider.visitor import Visitor

DUE: Mapping[Kind, timedelta] = {snapshots.ETCD: timedelta(hours=1), snapshots.DATABASE: timedelta(days=1)}
"""How often nodes keep each, as the agent's `upkeep` has it."""
CACHE = "~/.cache/hardway"
"""For what is brought from upstream once; `HARDWAY_CACHE` names another place."""


@dataclass(frozen=True)
class StateStore:
    """The bucket for snapshots and dumps of one cluster."""

    project: Project
    connection: Connection

    @cached_property
    def bucket(self) -> Spaces:
        """Give the bucket.

        Raises:
            Problem: there is none.
        """
        plan = self.project.plan
        made = Spaces(self.connection, bucket=plan.state_bucket, region=plan.spaces_region)
        if not made.bucket_exists():
            raise Problem("is not there, so nothing was ever kept", where=f"bucket {made.bucket}", hint="`gen launch`")
        return made

    def shelf(self, kind: Kind) -> Shelf:
        """Read all of one kind."""
        return self._pile(kind).shelf(Clock().now())

    def latest(self, kind: Kind) -> Latest:
        """Read of one kind what tells the newest."""
        return self._pile(kind).latest()

    def _pile(self, kind: Kind) -> Pile:
        return Pile(self.bucket, self.project.plan, kind, keys.snapshot_key(self.project.keys_path))

    def pick(self, shelf: Shelf, kind: Kind, name: str = "") -> Snapshot:
        """Find one by its name, or the newest.

        Raises:
            Problem: there is none that anybody vouches for.
        """
        found = shelf.newest if not name else next((one for one in shelf.snapshots if one.name == name), None)
        if found is not None:
            return found
        if name in shelf.lone:
            raise Problem("has no manifest, so nobody vouches for it", where=f"{kind} {name}")
        if name in shelf.doubtful:
            hint = "it is never restored; `gen snapshot list` shows the others"
            raise Problem(shelf.doubtful[name], where=f"{kind} {name}", hint=hint)
        known = ", ".join(one.name for one in shelf.snapshots[:5]) or "none at all"
        raise Problem("is not in the bucket", where=f"{kind} {name}".rstrip(), hint=f"there is {known}")

    @contextmanager
    def tried(self, one: Snapshot) -> Iterator[Path]:
        """Bring one, open it and try it; the plain file is there while the context lasts.

        Raises:
            Unbelievable: it is not what its manifest says.
        """
        plan, visitor = self.project.plan, Visitor(self.connection)
        identity = keys.snapshot_identity(self.project.keys_path)

        def tools() -> Path:
            place = Path(os.environ.get("HARDWAY_CACHE") or CACHE).expanduser() / "tools"
            return scratch_etcd.tools(self.project.release, visitor, place)

        with trial.brought(one, plan, self.bucket, visitor, identity) as plain:
            trial.check(one, plain, plan, tools)
            yield plain

    def vouch(self, one: Snapshot) -> None:
        """Keep the operator's word beside it that it was tried."""
        text = snapshots.vouch(one, self.project.plan, keys.operator_key(self.project.keys_path), Clock().now())
        place = names.kept_key(self.project.plan.name, one.kind, one.name, "verified")
        self.bucket.put(place, text, content_type="application/json")

    def delete(self, kind: Kind, name: str) -> None:
        """Delete one; its manifest first, for what has none counts for nothing."""
        for ending in ("json", "verified", "age"):
            self.bucket.delete(names.kept_key(self.project.plan.name, kind, name, ending))

    def words(self, now: datetime) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Say how old what is kept is, and warn of what is older than it should be.

        Where there is no bucket, or none of the keys, that is said instead.
        """
        plan = self.project.plan
        due = dict(DUE) if "order-book" in plan.addons else {snapshots.ETCD: DUE[snapshots.ETCD]}
        told, warned = [], []
        for kind, every in due.items():
            try:
                latest = self.latest(kind)
            except Problem as problem:
                return (), (f"nothing is known of snapshots: {problem.where} {problem.message}",)
            newest, verified = latest.newest, latest.verified
            if newest is None:
                told.append(f"{kind}: none yet")
                continue
            size = f"{newest.sealed_bytes / 2**20:.1f} MiB"
            word = f"last verified {age(verified.verified, now)} ago" if verified else "none was ever verified"
            told.append(f"{kind}: {age(newest.time, now)} old, {size}, {latest.count} manifests in all; {word}")
            if now - newest.time > 2 * every:
                warned.append(
                    f"the newest {kind} snapshot is {age(newest.time, now)} old, one is due every"
                    f" {every // timedelta(hours=1)} h: `gen logs NODE hardway-upkeep` of a control-plane node shows"
                    " why"
                )
        return tuple(told), tuple(warned)
