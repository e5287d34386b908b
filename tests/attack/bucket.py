"""Tries what a thief does to the bucket: with its key, with addresses that were signed, and with nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress

import urllib3

from generator.plan import names
from generator.provider.connection import Connection
from generator.provider.spaces import Spaces, Trouble
from tests.attack.stage import CONTROL_PLANE, WORKER

CLUSTER = "orderbook"
SCRATCH = f"{names.prefix(CLUSTER)}thief"
"""What thieves write, who may be at it at the same time."""
BUCKET, STATE_BUCKET, REGION = "orderbook-hardway", "orderbook-hardway-state", "fra1"


def everything(there: Connection) -> dict[str, bytes]:
    """Read every object."""
    spaces = _spaces(there)
    return {key: spaces.get(key) or b"" for key in _keys(spaces)}


def with_its_key(there: Connection) -> list[str]:
    """Say what its key does to each kind of object."""
    return _with_key(_spaces(there))


def with_state_key(there: Connection) -> list[str]:
    """Say what the key of the bucket for snapshots does, there and in the first bucket."""
    found = [f"snapshots: {each}" for each in _with_key(_spaces(there).beside(STATE_BUCKET))]
    return found + [f"with the key for snapshots: {each}" for each in _with_key(_spaces(there))]


def snapshots(there: Connection) -> dict[str, bytes]:
    """Read every object of the bucket for snapshots."""
    spaces = _spaces(there).beside(STATE_BUCKET)
    return {key: spaces.get(key) or b"" for key in _keys(spaces)}


def _with_key(spaces: Spaces) -> list[str]:
    reached = set()
    with suppress(Trouble):
        reached |= {f"reads {_kind(key)}" for key in _keys(spaces)}
    with suppress(Trouble):
        spaces.put(SCRATCH, b"here", content_type="text/plain")
        reached.add("writes")
        spaces.delete(SCRATCH)
        reached.add("deletes")
    return sorted(reached)


def with_addresses(there: Connection, signed: Iterable[str]) -> list[str]:
    """Say what anybody reads, and what signed addresses do."""
    http = urllib3.ProxyManager(str(there.proxy), ca_certs=str(there.ca_file))
    bucket = f"https://{REGION}.digitaloceanspaces.com/{BUCKET}"
    reached = set()
    if http.request("GET", f"{bucket}?list-type=2").status == 200:
        reached.add("lists")
    if http.request("PUT", f"{bucket}/{SCRATCH}", body=b"here").status == 200:
        reached.add("writes")
    for key in _keys(_spaces(there)):
        if http.request("GET", f"{bucket}/{key}").status == 200:
            reached.add(f"reads {_kind(key)}")
    for address in signed:
        kind = _kind(re.sub(r"^https://[^/]+/[^/]+/|\?.*", "", address))
        before = http.request("GET", address)
        if before.status == 200:
            reached.add(f"reads {kind} by its address")
        if http.request("PUT", address, body=b"{}", headers={"Content-Type": "application/json"}).status == 200:
            reached.add(f"writes {kind} by its address")
    return sorted(reached)


def _spaces(there: Connection) -> Spaces:
    return Spaces(there, bucket=BUCKET, region=REGION)


def _keys(spaces: Spaces) -> list[str]:
    return [each.key for each in spaces.objects("") if each.key != SCRATCH]


def _kind(key: str) -> str:
    for node in (CONTROL_PLANE, WORKER):
        if key == names.status_key(CLUSTER, node):
            return f"the status of {node}"
    if names.bundle_node(CLUSTER, key):
        return "sealed bundles"
    if names.is_roster_key(key):
        return "the roster"
    if key.endswith(".sealed"):
        return "the addons' sealed secrets"
    if key.endswith(".access"):
        return "the sealed key for snapshots"
    if kept := re.fullmatch(rf"{CLUSTER}/(etcd|database)/[^/]+\.(age|json|verified)", key):
        return {"age": f"sealed {kept[1]}", "json": "manifests", "verified": "words of the operator"}[kept[2]]
    if key.endswith(".deb"):
        return "Debian's packages"
    return "archives" if key.endswith(".tar") else key
