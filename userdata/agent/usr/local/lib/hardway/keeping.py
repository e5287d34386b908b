"""Puts what has to outlive all nodes into its bucket: sealed to the operator by age, vouched for by control planes.

To seal something needs no secret, so a seal says nothing of who made it; what says it is a manifest beside each object,
with a MAC that control-plane nodes and the operator alone can make.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hardway import bucket, fetch, here, vouch
from hardway.here import Failure

CONTEXT = "hardway-snapshot-v1"
KEY, RECIPIENT = "/etc/hardway/snapshots.key", "/etc/hardway/snapshots.recipient"
WORK = "/var/lib/hardway/snapshots"
LAST = "/var/lib/hardway/last-kept"
SEAL_SECONDS = 1800


@contextmanager
def room() -> Iterator[Path]:
    """Give an empty directory that nobody else may read, and remove it with all that is in it.

    What another run left that was killed goes first.
    """
    base = here.at(WORK)
    base.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left in base.iterdir():
        if not Path("/proc", left.name.partition("-")[0]).exists():
            shutil.rmtree(left, ignore_errors=True)
    place = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=base))
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def keep(kind: str, plain: Path, facts: dict[str, Any]) -> dict[str, Any]:
    """Seal a file, put it and then its manifest, and give what the manifest says.

    Args:
        kind: what it is; also where it lies below the cluster's prefix.
        facts: what is to be said of it besides.
    """
    where = bucket.find()
    said = here.facts()
    now = own_second()
    name = f"{now:%Y%m%dT%H%M%SZ}-{said['node']}"
    sealed = plain.with_suffix(".age")
    here.run("age", "--encrypt", "-R", str(here.at(RECIPIENT)), "-o", str(sealed), str(plain), timeout=SEAL_SECONDS)
    manifest = {
        "version": 1,
        "kind": kind,
        "name": name,
        "cluster_id": said["cluster_id"],
        "node": said["node"],
        "time": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        "plain_sha256": digest(plain),
        "plain_bytes": plain.stat().st_size,
        "sealed_sha256": digest(sealed),
        "sealed_bytes": sealed.stat().st_size,
        **facts,
    }
    text = vouch.wrapped(CONTEXT, manifest, here.at(KEY).read_text()).encode()
    where.put(f"{kind}/{name}.age", sealed, str(manifest["sealed_sha256"]))
    # What has a manifest is whole.
    where.put(f"{kind}/{name}.json", text, hashlib.sha256(text).hexdigest())
    print(f"{kind} {name}: {manifest['sealed_bytes']:,} bytes in bucket {where.bucket}", flush=True)
    return manifest


def own_second() -> datetime:
    """Give a second in which nothing else was named here: the timer and the operator may both want something kept."""
    with here.at(LAST).open("a+") as last:
        fcntl.flock(last, fcntl.LOCK_EX)
        last.seek(0)
        before = last.read()
        while (now := datetime.now(UTC).replace(microsecond=0)).isoformat() == before:
            time.sleep(0.1)
        last.truncate(0)
        last.write(now.isoformat())
    return now


def bring(given: dict[str, Any], sealed: Path, plain: Path) -> None:
    """Bring what the operator has sealed for this node, and open it.

    Raises:
        Failure: it is not what was meant.
    """
    if not fetch.download(given["url"], sealed, given["sha256"], given["sealed_bytes"]):
        raise Failure("what was fetched is not what the operator has sealed")
    identity = sealed.with_suffix(".identity")
    here.write(str(identity.relative_to(here.ROOT)), given["identity"])
    here.run("age", "--decrypt", "-i", str(identity), "-o", str(plain), str(sealed), timeout=SEAL_SECONDS)
    identity.unlink()
    sealed.unlink()
    if digest(plain) != given["plain_sha256"]:
        raise Failure("what was unsealed is not what was meant")


def digest(path: Path) -> str:
    """Give a file's SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
