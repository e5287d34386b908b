"""Deletes what left the addons of a user's own and is kept because it holds data, once somebody has said so."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import astuple
from http import HTTPStatus

from generator.cluster.addon_state import PLACES, AddonState
from generator.cluster.kube_api import ADDONS_RECORD, Kube
from generator.manifests.own import LABEL
from generator.manifests.reading import Identity


def deletable(states: Collection[AddonState], wanted: Collection[Identity]) -> list[tuple[str, Identity]]:
    """Name what is kept and may be deleted, each with its addon: nothing that some addon has again."""
    return [(one.name, kept) for one in states for kept in one.kept if kept not in wanted]


def delete(server: Kube, kept: Collection[tuple[str, Identity]]) -> Iterator[tuple[Identity, str]]:
    """Delete what is kept, the last first, unless it bears another label by now; say what came of each.

    What is left alone is nobody's of ours any more, so all of it can be forgotten.
    """
    for addon, one in reversed(list(kept)):
        path = PLACES[one.group, one.kind].format(namespace=one.namespace, name=one.name)
        status, body = server.request("GET", path)
        if status == HTTPStatus.NOT_FOUND:
            yield one, "was gone already"
        elif status != HTTPStatus.OK or _owner(body) != addon:
            yield one, "was left alone: it is not this addon's by its label"
        else:
            server.delete(path)
            yield one, "is deleted"


def forget(server: Kube, states: Collection[AddonState], gone: Collection[Identity]) -> None:
    """Take what is gone out of the cluster's record; nodes find it out by themselves when they next apply addons."""
    left = {}
    for one in states:
        kept = [list(astuple(each)) for each in one.kept if each not in gone]
        if kept or one.state != "removed":
            left[one.name] = {"state": one.state, "why": one.why, "kept": kept}
    text = json.dumps({name: {key: value for key, value in one.items() if value} for name, one in left.items()})
    change = {"data": {"states": text if left else None}}
    server.request("PATCH", ADDONS_RECORD, change, kind="application/merge-patch+json")


def _owner(body: bytes) -> str | None:
    try:
        labels = json.loads(body)["metadata"].get("labels") or {}
        owner = labels.get(LABEL)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return owner if isinstance(owner, str) else None
