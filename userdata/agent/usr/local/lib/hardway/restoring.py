"""Begins a new etcd with the data of a snapshot, on the one node that the operator has chosen for it."""

from __future__ import annotations

import shutil
from typing import Any

from hardway import here, keeping, snapshot

# Beside the place of the data, so that it comes there in one step.
FRESH, MEMBER = "/var/lib/etcd/restoring", "/var/lib/etcd/member"
RESTORE_SECONDS = 1800
# So much later than anything that anybody has seen: watches end, and nobody sees time go back.
# Source: https://etcd.io/docs/v3.6/op-guide/recovery/#restoring-with-revision-bump
BUMP = 1_000_000_000


def restore(name: str, url: str, said: dict[str, Any], given: dict[str, Any]) -> None:
    """Bring the snapshot that the roster names, and make it this node's data.

    Args:
        url: this node's, for its peers.
        said: what the roster says of etcd.
        given: what the launch part says: `url`, `sha256` and `identity` of what is sealed anew.

    Raises:
        Failure: it is not the one that the roster names, or etcd doesn't take it.
    """
    with keeping.room() as room:
        plain = room / "snapshot.db"
        keeping.bring({**given, "plain_sha256": said["snapshot"]}, room / "snapshot.age", plain)
        snapshot.verify(plain)
        fresh = here.at(FRESH)
        shutil.rmtree(fresh, ignore_errors=True)
        here.run(
            "etcdutl",
            "snapshot",
            "restore",
            str(plain),
            f"--name={name}",
            f"--data-dir={fresh}",
            f"--initial-cluster={name}={url}",
            f"--initial-advertise-peer-urls={url}",
            f"--initial-cluster-token={said['token']}",
            f"--bump-revision={BUMP}",
            "--mark-compacted",
            timeout=RESTORE_SECONDS,
        )
        here.run("chown", "--recursive", "etcd:etcd", str(fresh))
        here.run("sync", "--file-system", str(fresh))
        shutil.rmtree(here.at(MEMBER), ignore_errors=True)
        (fresh / "member").rename(here.at(MEMBER))
        fresh.rmdir()
