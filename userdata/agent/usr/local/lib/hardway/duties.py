"""What a control-plane node does when the operator asks: look at etcd and its peers, step aside, help another out."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Mapping
from typing import Any

from hardway import addons, dump, etcdctl, fetch, here, snapshot, survey
from hardway.here import Failure

# In the order in which they end: what asks the API server before the API server itself.
SERVING = (
    "hardway-bootstrap.service",
    "kube-scheduler.service",
    "kube-controller-manager.service",
    "kube-apiserver.service",
)
STOP_SECONDS = 40
# Who connects from now on is refused, which balancers take to another server; what waits to be accepted would be cut.
TURNED_AWAY = """
table inet hardway_retired
delete table inet hardway_retired
table inet hardway_retired {
  chain input {
    type filter hook input priority -20
    tcp dport %d ct state new reject with tcp reset
  }
}
"""
ACCEPTED_SECONDS = 0.5
ANSWER_SECONDS = 3
LIMIT_BYTES = 64 << 10


def paths(_: dict[str, Any]) -> dict[str, Any]:
    """Probe the way to each peer, and what pods need besides."""
    return survey.take()


def etcd(_: dict[str, Any]) -> dict[str, Any]:
    """Say what etcd is like."""
    return etcdctl.bookkeeping()


def again(_: dict[str, Any]) -> None:
    """Begin to try those addons once more that were not up; how they are is in the cluster's record."""
    addons.try_again()


def lead(_: dict[str, Any]) -> dict[str, Any]:
    """Hand etcd's leadership to another voter, if it is here."""
    seen = etcdctl.bookkeeping()
    if "trouble" in seen:
        raise Failure(seen["trouble"])
    others = [one["id"] for one in seen["members"] if not one["learner"] and one["id"] != seen["member"]]
    if seen["leader"] != seen["member"]:
        return seen
    said = "there is no other voter"
    for other in others:
        try:
            etcdctl.control(etcdctl.OWN, "move-leader", other)
        except Failure as failure:
            said = str(failure)
        if (after := etcdctl.bookkeeping()).get("leader") not in (None, seen["member"], "0"):
            return after
    raise Failure(f"the leadership stays: {said}")


def remove(arguments: dict[str, Any]) -> dict[str, Any]:
    """Remove a member of etcd that is not this node's; one that is gone already is as good."""
    number = f"{int(str(arguments['member']), 16):x}"
    seen = etcdctl.bookkeeping()
    if "trouble" in seen:
        raise Failure(seen["trouble"])
    if number == seen["member"]:
        raise Failure("a node does not remove its own member")
    known = {one["id"]: one["name"] for one in seen["members"]}
    if number not in known:
        return seen
    if known[number] not in ("", arguments["name"]):
        raise Failure(f"member {number} is {known[number]}, not {arguments['name']}")
    try:
        etcdctl.control(etcdctl.OWN, "member", "remove", number)
    except Failure:
        # It may have taken effect all the same.
        if number in {one["id"] for one in etcdctl.bookkeeping().get("members", [{"id": number}])}:
            raise
    return etcdctl.bookkeeping()


def retire(_: dict[str, Any]) -> dict[str, Any]:
    """End what serves and rules the cluster from here, and cut nobody off; kubelet and etcd go on."""
    here.run("nft", "--file", "-", stdin=TURNED_AWAY % here.facts()["api_port"])
    time.sleep(ACCEPTED_SECONDS)
    for unit in SERVING:
        here.run("systemctl", "stop", unit, timeout=STOP_SECONDS)
    return {"stopped": list(SERVING)}


def serve(_: dict[str, Any]) -> dict[str, Any]:
    """Start again what `retire` has ended."""
    here.run("nft", "--file", "-", stdin="table inet hardway_retired\ndelete table inet hardway_retired\n")
    here.run("systemctl", "start", "--no-block", *reversed(SERVING), timeout=STOP_SECONDS)
    return {"started": list(reversed(SERVING))}


def servers(_: dict[str, Any]) -> list[dict[str, Any]]:
    """Ask every API server of the roster, by its planned address, whether it is ready."""
    nodes = [node for node in here.read(here.ROSTER)["nodes"] if node["role"] == "control-plane"]
    return [{"node": node["name"], "trouble": _trouble(node["address"])} for node in nodes]


def keep(arguments: dict[str, Any]) -> dict[str, Any]:
    """Take a snapshot of etcd, or dump the database, and give the manifest."""
    kinds: Mapping[str, Callable[[], dict[str, Any]]] = {snapshot.KIND: snapshot.take, dump.KIND: dump.take}
    if arguments["kind"] not in kinds:
        raise Failure(f"nothing is known here of `{arguments['kind']}`")
    return kinds[arguments["kind"]]()


def _trouble(address: str) -> str | None:
    try:
        context = ssl.create_default_context(cafile=str(here.at("/etc/kubernetes/pki/ca.crt")))
        url = f"https://{address}:{here.facts()['api_port']}/readyz"
        status, _, _ = fetch.ask(url, context=context, seconds=ANSWER_SECONDS, limit_bytes=LIMIT_BYTES)
    except (Failure, OSError) as failure:
        return str(failure)[-300:]
    return None if status == 200 else f"answer {status}"


# What may be asked; each takes the request's arguments, and gives what JSON can hold.
VERBS: Mapping[str, Callable[[dict[str, Any]], Any]] = {
    "again": again,
    "etcd": etcd,
    "keep": keep,
    "lead": lead,
    "paths": paths,
    "remove": remove,
    "restore-database": dump.restore,
    "retire": retire,
    "serve": serve,
    "servers": servers,
}
