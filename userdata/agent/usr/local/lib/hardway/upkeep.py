"""Looks after etcd from the node that leads it: room, alarms, and what is kept of it and of the database elsewhere.

Who leads is the one that a quorum follows, so it is one at a time; there is no other lease, for the API may be down.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from hardway import dump, etcdctl, here, snapshot
from hardway.here import Failure

# How often each is kept; how many stay is the operator's business.
SNAPSHOT_SECONDS, DUMP_SECONDS = 3600, 24 * 3600
# Keys of our own in etcd: when each was last kept.
LAST = "hardway/last/"
# Here is said until when nobody needs to try again: a full etcd takes no note, and what failed costs as much as before.
NOT_BEFORE = "/var/lib/hardway/upkeep/not-before-"
RETRY_SECONDS = 900
# The members that have had their turn since etcd is full.
HAD = "/var/lib/hardway/upkeep/had-their-turn"
# Members give back what they don't use once it is so much, and half of all.
WASTE_BYTES = 128 << 20
# A full one gives back less than that too, but not nothing again and again: members stand still meanwhile.
FULL_WASTE_BYTES = 4 << 20
# A full one may be written to again when so much of its room is free.
FULL = 0.9
NO_SPACE = "NOSPACE"
DEFRAG_SECONDS = 300
LONG = f"--command-timeout={DEFRAG_SECONDS}s"

Status = dict[str, Any]


def step() -> None:
    """Do what is due, if this node leads; what fails keeps nothing else from being done."""
    seen = etcdctl.own_status()
    if seen.get("leader") != seen["header"]["member_id"]:
        return
    failures = []
    works: tuple[Callable[[], object], ...] = (
        care,
        lambda: when_due(snapshot.KIND, SNAPSHOT_SECONDS, snapshot.take),
        lambda: database() if dump.is_there() else None,
    )
    for work in works:
        try:
            work()
        except (Failure, OSError) as failure:
            failures.append(str(failure))
    if failures:
        raise Failure("; ".join(failures))


def database() -> None:
    """Dump it when that is due, and start what a restore that was cut off has stopped."""
    dump.mend()
    when_due(dump.KIND, DUMP_SECONDS, dump.take)


def when_due(kind: str, seconds: float, take: Callable[[], object]) -> None:
    """Keep one of a kind, unless the last is younger than that; a clock that went back is no reason to wait."""
    last, now = etcdctl.value(f"{LAST}{kind}"), time.time()
    if last is not None and 0 <= now - float(last) < seconds:
        return
    if 0 < not_before(kind) - now <= seconds:
        return
    here.write(f"{NOT_BEFORE}{kind}", f"{int(now + RETRY_SECONDS)}")
    take()
    here.write(f"{NOT_BEFORE}{kind}", f"{int(now + seconds)}")
    etcdctl.note(f"{LAST}{kind}", f"{int(now)}")


def not_before(kind: str) -> float:
    """Give until when this node does not try again."""
    try:
        return float(here.at(f"{NOT_BEFORE}{kind}").read_text())
    except (OSError, ValueError):
        return 0.0


def care() -> None:
    """Free what members don't use, one at a time, the leader last; let a full one be written to again."""
    seen = statuses()
    is_full = any(NO_SPACE in error for one in seen.values() for error in one.get("errors") or ())
    turns = in_turn(seen)
    if is_full and turns:
        make_room(seen)
    # What was just forgotten counts as used until something is written, which a full one does not take: each has a
    # turn once, whatever it says, also after a run that was cut off.
    had = set(here.read(HAD) or ()) if is_full else set(turns)
    for endpoint in turns:
        size, used = int(seen[endpoint]["dbSize"]), int(seen[endpoint].get("dbSizeInUse", 0))
        if endpoint not in had or size - used > (FULL_WASTE_BYTES if is_full else max(WASTE_BYTES, size // 2)):
            if not all_well(len(seen)):
                raise Failure("etcd: not all members answer any more, or another leads: the others' turn comes later")
            print(f"etcd: {endpoint} has {size >> 20} MiB and uses {used >> 20}: defragmenting", flush=True)
            etcdctl.control([endpoint], "defrag", LONG, seconds=2 * DEFRAG_SECONDS)
            if is_full:
                had.add(endpoint)
                here.write(HAD, json.dumps(sorted(had)))
    if is_full:
        disarm(statuses())
    here.at(HAD).unlink(missing_ok=True)


def all_well(count: int) -> bool:
    """Tell whether all members answer, and this node leads still: only one stands still at a time."""
    own = etcdctl.own_status()
    return own.get("leader") == own["header"]["member_id"] and len(statuses()) == count


def statuses() -> dict[str, Status]:
    """Give what each member that answers says of itself, by its address for clients."""
    endpoints = [url for member in etcdctl.members(etcdctl.OWN) for url in member.get("clientURLs") or ()]
    found = {}
    for endpoint in endpoints:
        try:
            found[endpoint] = dict(json.loads(etcdctl.control([endpoint], "endpoint", "status"))[0]["Status"])
        except Failure as failure:
            print(f"etcd: {endpoint} does not answer: {failure}", flush=True)
    return found


def in_turn(seen: dict[str, Status]) -> list[str]:
    """Give the members' addresses, the leader's last; nobody's turn comes while one does not answer."""
    if len(seen) < len(etcdctl.members(etcdctl.OWN)):
        return []
    return sorted(seen, key=lambda one: (seen[one]["leader"] == seen[one]["header"]["member_id"], one))


def make_room(seen: dict[str, Status]) -> None:
    """Forget all that was: the API server can't do it itself any more, for it writes when it does."""
    revision = max(int(one["header"]["revision"]) for one in seen.values())
    print(f"etcd is full: forgetting what was before revision {revision}", flush=True)
    try:
        etcdctl.control(etcdctl.OWN, "compact", str(revision), "--physical", LONG, seconds=2 * DEFRAG_SECONDS)
    except Failure as failure:
        if "compacted" not in str(failure):
            raise


def disarm(seen: dict[str, Status]) -> None:
    """Take the alarm away, if there is room now.

    Raises:
        Failure: there is none: what is there is all in use.
    """
    for endpoint, one in seen.items():
        size, most = int(one["dbSize"]), int(one["dbSizeQuota"])
        if size > FULL * most:
            raise Failure(
                f"etcd is full: {endpoint} uses {size >> 20} of {most >> 20} MiB; something has to be deleted"
            )
    etcdctl.control(etcdctl.OWN, "alarm", "disarm")
    print("etcd has room again", flush=True)
