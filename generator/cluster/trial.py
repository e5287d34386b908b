"""Tries a snapshot: brings it, opens it, restores it into an etcd of this machine, and compares what is in it."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from generator.cluster import scratch_etcd
from generator.cluster.scratch_etcd import Damaged
from generator.cluster.snapshots import DATABASE, Snapshot, Unbelievable
from generator.errors import Problem
from generator.plan import names
from generator.plan.decide import Plan
from generator.provider.spaces import Spaces
from generator.provider.visitor import Visitor

CLUSTER_KEY = "hardway/cluster"
"""Where in etcd a control-plane node writes whose data it is, before it takes a snapshot."""
LIFETIME = timedelta(minutes=30)
DIGEST_BYTES = 32
DUMP_END = b"-- PostgreSQL database dump complete"


@contextmanager
def brought(snapshot: Snapshot, plan: Plan, state: Spaces, visitor: Visitor, identity: bytes) -> Iterator[Path]:
    """Bring a snapshot or dump and open it; the plain file is there while the context lasts.

    Raises:
        Unbelievable: it is not what its manifest says.
        Problem: it can't be had.
    """
    import pyrage

    with tempfile.TemporaryDirectory(prefix="hardway-") as directory:
        sealed, plain = Path(directory, "sealed"), Path(directory, "plain")
        place = names.kept_key(plan.name, snapshot.kind, snapshot.name, "age")
        digest = visitor.download(state.presign_get(place, LIFETIME), sealed, limit_bytes=snapshot.sealed_bytes)
        if digest != snapshot.sealed_sha256:
            raise Unbelievable("what is sealed is not what its manifest says")
        plain.touch(mode=0o600)
        try:
            opener = pyrage.x25519.Identity.from_str(identity.decode().split()[-1])
            pyrage.decrypt_file(str(sealed), str(plain), [opener])
        except (pyrage.DecryptError, pyrage.IdentityError) as error:
            raise Unbelievable(f"it can't be opened with this cluster's identity: {error}") from error
        sealed.unlink()
        if _digest(plain) != snapshot.plain_sha256:
            raise Unbelievable("what was sealed is not what its manifest says")
        yield plain


def check(snapshot: Snapshot, plain: Path, plan: Plan, tools: Callable[[], Path]) -> None:
    """Restore what was brought, and hold it against its manifest.

    Args:
        tools: brings the release's etcd, where it is needed.

    Raises:
        Unbelievable: it can't be restored, or holds something else.
    """
    if snapshot.kind == DATABASE:
        with plain.open("rb") as content:
            content.seek(max(0, plain.stat().st_size - 4096))
            if DUMP_END not in content.read():
                raise Unbelievable("it is cut: it does not end as a dump")
        return
    if not _ends_with_its_digest(plain):
        raise Unbelievable("it is damaged: the digest at its end is another")
    place = tools()
    try:
        ours = scratch_etcd.version(place)
    except Damaged as reason:
        hint = "it is built for Linux on amd64, and has to be allowed to run where `HARDWAY_CACHE` points"
        raise Problem(f"does not run on this machine: {reason}", where=str(place), hint=hint) from reason
    if _numbers(snapshot.etcd or "0")[:2] > _numbers(ours)[:2]:
        raise Unbelievable(f"etcd {snapshot.etcd} has written it, the release has {ours}")
    try:
        with (
            tempfile.TemporaryDirectory(prefix="hw-") as work,
            scratch_etcd.restored(place, plain, Path(work)) as scratch,
        ):
            seen = scratch.contents(CLUSTER_KEY)
    except Damaged as reason:
        raise Unbelievable(f"it can't be restored: {reason}") from reason
    if seen.cluster_id != plan.cluster_id:
        raise Unbelievable(f"in it is the data of cluster {seen.cluster_id[:64] or 'nobody'}, not of {plan.cluster_id}")
    for what in ("revision", "hash", "keys"):
        found, said = getattr(seen, what), getattr(snapshot, what)
        if found != said:
            raise Unbelievable(f"`{what}` in it is {found}, the manifest says {said}")


def refused(snapshot: Snapshot, reason: Unbelievable) -> Problem:
    """Give the problem of a snapshot that is not believed."""
    hint = "`gen snapshot list` shows the others; `gen snapshot verify` tries them"
    return Problem(str(reason), where=f"{snapshot.kind} {snapshot.name}", hint=hint)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _ends_with_its_digest(path: Path) -> bool:
    """Tell whether a snapshot ends with the digest of all before it, as etcd writes it.

    Source: https://github.com/etcd-io/etcd/blob/release-3.6/etcdutl/snapshot/v3_snapshot.go
    """
    digest, left = hashlib.sha256(), path.stat().st_size - DIGEST_BYTES
    if left < 0:
        return False
    with path.open("rb") as content:
        while left > 0 and (piece := content.read(min(left, 1 << 20))):
            digest.update(piece)
            left -= len(piece)
        return digest.digest() == content.read()


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())
