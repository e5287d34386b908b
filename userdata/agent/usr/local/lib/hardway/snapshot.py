"""Takes snapshots of etcd, checks each, and puts it where it outlives all nodes."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from hardway import etcdctl, here, keeping
from hardway.here import Failure

KIND = "etcd"
# Keys of our own in etcd, beside the API server's: whose data this is, and what was kept last.
CLUSTER = "hardway/cluster"
SAVE_SECONDS = 600
LONG = f"--command-timeout={SAVE_SECONDS}s"
TRIES = 3
DIGEST_BYTES = 32


def take() -> dict[str, Any]:
    """Take one now, and give its manifest.

    Raises:
        Failure: etcd has no quorum, what it gave is damaged, or it can't be put away.
    """
    own = here.facts()["cluster_id"]
    # Written by a quorum, and read by one, before this member's data is taken: a member that lags has caught up then.
    if etcdctl.value(CLUSTER) != own:
        etcdctl.note(CLUSTER, own)
        etcdctl.value(CLUSTER)
    with keeping.room() as room:
        file = room / "snapshot.db"
        for _ in range(TRIES):
            before = hashed(0)
            etcdctl.control(etcdctl.OWN, "snapshot", "save", str(file), seconds=SAVE_SECONDS)
            verify(file)
            status = looked_at(file)
            after = hashed(int(status["revision"]))
            # A hash is of all since the last compaction; with another one it would be that of something else.
            if before["compact_revision"] == after["compact_revision"]:
                return keeping.keep(KIND, file, facts(status, after))
            file.unlink()
        raise Failure("etcd was compacted while each of the snapshots was taken")


def verify(file: Path) -> None:
    """Hold a snapshot against the digest that etcd wrote at its end.

    Raises:
        Failure: they differ.
    """
    size = file.stat().st_size - DIGEST_BYTES
    digest, left = hashlib.sha256(), size
    with file.open("rb") as content:
        while left > 0 and (piece := content.read(min(left, 1 << 20))):
            digest.update(piece)
            left -= len(piece)
        if size < 0 or digest.digest() != content.read():
            raise Failure("the snapshot is damaged: its digest is another")


def hashed(revision: int) -> dict[str, Any]:
    """Give this member's hash of everything up to a revision, 0 for the latest."""
    said = etcdctl.control(etcdctl.OWN, "endpoint", "hashkv", f"--rev={revision}", LONG, seconds=SAVE_SECONDS)
    return dict(json.loads(said)[0]["HashKV"])


def looked_at(file: Path) -> dict[str, Any]:
    """Say what is in a snapshot; asked of a copy, for etcdutl writes into what it looks at."""
    copy = file.with_name("copy.db")
    shutil.copyfile(file, copy)
    said = here.run("etcdutl", "snapshot", "status", str(copy), "--write-out=json", timeout=SAVE_SECONDS)
    copy.unlink()
    return dict(json.loads(said))


def facts(status: dict[str, Any], seen: dict[str, Any]) -> dict[str, Any]:
    """Give what a manifest says of a snapshot."""
    return {
        "revision": int(status["revision"]),
        "hash": int(seen["hash"]),
        "compact_revision": int(seen["compact_revision"]),
        "keys": int(status["totalKey"]),
        "etcd": str(etcdctl.own_status()["version"]),
    }
