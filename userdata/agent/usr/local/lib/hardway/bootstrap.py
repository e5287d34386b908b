"""Has the addons applied that the roster pins; on one control-plane node at a time, and safe to repeat."""

from __future__ import annotations

import fcntl
import json
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from hardway import addons, here
from hardway.addons import RECORD
from hardway.here import Failure
from hardway.kubectl import find, kubectl

TERM_SECONDS = 60
LEASE = {"name": "hardway-bootstrap", "namespace": "kube-system"}
LOCK = "/run/hardway/bootstrap.lock"
ROLE = "node-role.kubernetes.io/control-plane"


def step() -> None:
    """Label this node, then apply the addons unless the cluster has them."""
    name = here.facts()["node"]
    kubectl("label", "--overwrite", "node", name, f"{ROLE}=")
    taint(name, is_schedulable=here.facts()["schedulable"])
    while is_due(roster := here.read(here.ROSTER), record := find("configmap", RECORD["name"])):
        if not work(name, roster):
            time.sleep(3)
    addons.mark(record)


def again() -> None:
    """Try those addons once more that are not up; all of them where the cluster lacks what the roster pins."""
    name, roster = here.facts()["node"], here.read(here.ROSTER)
    with alone():
        record = find("configmap", RECORD["name"])  # what a run has left that was at it until now
        try:
            if unwell := addons.unwell(record):
                lead(name, roster, None if is_due(roster, record) else unwell)
                record = find("configmap", RECORD["name"])
        finally:
            addons.mark(record)


def work(name: str, roster: dict[str, Any]) -> bool:
    """Apply the addons, once no other run of this node does; tell whether it did."""
    with alone():
        return lead(name, roster)


def lead(name: str, roster: dict[str, Any], only: Collection[str] | None = None) -> bool:
    """Apply addons if this node has or gets the lease; tell whether it did."""
    if not hold(name):
        return False
    with held(name):
        addons.apply(roster, only)
    return True


@contextmanager
def alone() -> Iterator[None]:
    """Keep two runs of this node apart: the lease is the node's."""
    path = here.at(LOCK)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def taint(name: str, *, is_schedulable: bool) -> None:
    """Make the taint of this node what is planned: its Node may be older than its droplet."""
    try:
        kubectl("taint", "--overwrite", "node", name, f"{ROLE}:NoSchedule{'-' if is_schedulable else ''}")
    except Failure as error:
        if not is_schedulable or "not found" not in str(error):
            raise


def is_due(roster: dict[str, Any], record: dict[str, Any] | None) -> bool:
    """Tell whether the cluster lacks addons or secrets of a roster; what a newer roster has brought is left alone."""
    data = record["data"] if record else {}
    lacks = data.get("addons") != roster["addons"] or (data.get("secrets") or None) != roster.get("secrets")
    return bool(lacks and int(data.get("generation", 0)) <= roster["generation"])


def hold(name: str) -> bool:
    """Take or renew the lease; tell whether it is this node's now."""
    lease = find("lease", LEASE["name"])
    now = datetime.now(UTC)
    if lease and not is_free(lease["spec"], name, now):
        return False
    wanted = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        # With the resource version that was read, so that one of two who race is refused.
        "metadata": lease["metadata"] if lease else LEASE,
        "spec": {
            "holderIdentity": name,
            "leaseDurationSeconds": TERM_SECONDS,
            "renewTime": f"{now:%Y-%m-%dT%H:%M:%S.%fZ}",
        },
    }
    try:
        kubectl("replace" if lease else "create", "--filename=-", stdin=json.dumps(wanted))
    except Failure as error:
        print(f"the lease can't be had now: {error}", flush=True)
        return False
    return True


def is_free(spec: dict[str, Any], name: str, now: datetime) -> bool:
    """Tell whether a lease is ours already, or has run out."""
    until = datetime.fromisoformat(spec["renewTime"]) + timedelta(seconds=spec["leaseDurationSeconds"])
    return bool(spec["holderIdentity"] == name or now > until)


@contextmanager
def held(name: str) -> Iterator[None]:
    """Renew the lease while the work lasts."""
    done = threading.Event()

    def renew() -> None:
        while not done.wait(TERM_SECONDS / 3):
            hold(name)

    thread = threading.Thread(target=renew, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
