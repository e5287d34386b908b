"""Keeps for each addon of a user's what belongs to it, in the cluster, and deletes what left it.

Before anything is applied, what may come is written beside what was there; what left is deleted once all is up, and
written off after that. So whoever is cut off anywhere leaves a list that has everything, and the next run goes on.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from hardway.here import Failure
from hardway.kubectl import find, kubectl, server_side

LABEL, OWNER = "hardway/belongings", "hardway/addon"
PREFIX, NAMESPACE = "hardway-addon-", "kube-system"
# With these data would go; `gen launch --prune-data` deletes them, when somebody has said so.
DATA = {
    ("", "Namespace"),
    ("", "PersistentVolume"),
    ("", "PersistentVolumeClaim"),
    ("apiextensions.k8s.io", "CustomResourceDefinition"),
}
DELETE_TIMEOUT = "60s"

Identity = tuple[str, str, str, str]
"""Group, kind, namespace and name of an object."""


def all_known() -> dict[str, list[Identity]]:
    """Give what belongs to each addon that has or had anything, by the addon's name."""
    text = kubectl("get", "configmaps", f"--namespace={NAMESPACE}", f"--selector={LABEL}", "--output=json")
    items = json.loads(text)["items"] if text else []
    return {one["metadata"]["labels"][LABEL]: _read(one["data"]["objects"]) for one in items}


def keep(addon: str, objects: Collection[Identity], before: Collection[Identity] | None) -> None:
    """Write what belongs to an addon, unless that is what is written; without anything its list goes."""
    name = f"{PREFIX}{addon}"
    if before is not None and list(objects) == list(before):
        return
    if not objects:
        kubectl("delete", "configmap", name, f"--namespace={NAMESPACE}", "--ignore-not-found")
        return
    metadata = {"name": name, "namespace": NAMESPACE, "labels": {LABEL: addon}}
    data = {"objects": json.dumps([list(one) for one in objects], separators=(",", ":"))}
    server_side(json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}))


def united(before: Collection[Identity], coming: Collection[Identity]) -> list[Identity]:
    """Give what is there with what may come, in the order of application."""
    return [*(one for one in before if one not in set(coming)), *coming]


def prune(addon: str, left: Collection[Identity], wanted: Collection[Identity]) -> list[Identity]:
    """Delete what left an addon, the last first; give what is kept, because data would go with it.

    What another addon wants, or what bears another's label or none, is somebody else's by now.

    Raises:
        Failure: something does not go.
    """
    kept = []
    for one in reversed(list(left)):
        if one in wanted or not _belongs(one, addon):
            continue
        if one[:2] in DATA:
            kept.append(one)
            continue
        print(f"addon {addon}: {shown(one)} left it, and is deleted", flush=True)
        kubectl("delete", *_words(one), "--ignore-not-found", f"--timeout={DELETE_TIMEOUT}")
    return kept[::-1]


def shown(one: Identity) -> str:
    """Name an object for people."""
    _, kind, namespace, name = one
    return f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"


def _belongs(one: Identity, addon: str) -> bool:
    try:
        found = find(_kind(one), one[3], one[2])
    except Failure as error:
        if "the server doesn't have a resource type" in str(error):
            return False  # its kind is gone, and with it all of that kind
        raise
    return bool(found and (found["metadata"].get("labels") or {}).get(OWNER) == addon)


def _words(one: Identity) -> list[str]:
    return [_kind(one), one[3], *([f"--namespace={one[2]}"] if one[2] else [])]


def _kind(one: Identity) -> str:
    group, kind, _, _ = one
    return f"{kind}.{group}" if group else kind


def _read(text: Any) -> list[Identity]:
    return [(str(group), str(kind), str(namespace), str(name)) for group, kind, namespace, name in json.loads(text)]
