"""Asks etcd, with the API server's client certificate."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

from hardway import here
from hardway.here import Failure

OWN = ("https://127.0.0.1:2379",)
STEP_BYTES = 16 << 20

Member = dict[str, Any]


def control(endpoints: Sequence[str], *words: str, seconds: float = 60) -> str:
    """Run etcdctl."""
    pki = here.at("/etc/kubernetes/pki")
    return here.run(
        "etcdctl",
        *words,
        "--write-out=json",
        f"--cacert={pki}/etcd-ca.crt",
        f"--cert={pki}/apiserver-etcd-client.crt",
        f"--key={pki}/apiserver-etcd-client.key",
        f"--endpoints={','.join(endpoints)}",
        timeout=seconds,
    )


def value(key: str) -> str | None:
    """Read a key of our own, agreed upon by a quorum; None where there is none."""
    found = json.loads(control(OWN, "get", key)).get("kvs") or []
    return base64.b64decode(found[0]["value"]).decode() if found else None


def note(key: str, text: str) -> None:
    """Write a key of our own."""
    control(OWN, "put", key, text)


def members(endpoints: Sequence[str]) -> list[Member]:
    """List the members that a quorum agrees on."""
    return list(json.loads(control(endpoints, "member", "list"))["members"])


def own_status() -> dict[str, Any]:
    """Give what this node's own member says of itself."""
    return dict(json.loads(control(OWN, "endpoint", "status"))[0]["Status"])


def bookkeeping() -> dict[str, Any]:
    """Tell what etcd is like, seen from this node: its own member, whom a quorum knows, and what is wrong."""
    try:
        status, known = own_status(), members(OWN)
    except Failure as failure:
        return {"trouble": str(failure)[:300]}
    return {
        "member": f"{status['header']['member_id']:x}",
        "leader": f"{status.get('leader', 0):x}",
        "learner": bool(status.get("isLearner")),
        "members": [
            {
                "id": f"{one['ID']:x}",
                "name": one.get("name", ""),
                "urls": one["peerURLs"],
                "learner": bool(one.get("isLearner")),
            }
            for one in known
        ],
        "alarms": [str(error)[:100] for error in status.get("errors") or ()],
        # In steps, so that a report is not new at every look.
        "mib": -(-int(status.get("dbSize", 0)) // STEP_BYTES) * (STEP_BYTES >> 20),
        "most_mib": int(status.get("dbSizeQuota", 0)) >> 20,
    }
