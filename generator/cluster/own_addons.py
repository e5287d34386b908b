"""Deletes what left the addons of a user's own and is kept because it holds data, once somebody has said so."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import astuple
from http import HTTPStatus

from generator.cluster.addon_state import PLACES, AddonState
from generator.cluster.kube_api import ADDONS_RECORD, Kube, NotYet
from generator.errors import Problem, raise_all
from generator.manifests.own import LABEL
from generator.manifests.reading import Identity


def deletable(states: Collection[AddonState], wanted: Collection[Identity]) -> list[tuple[str, Identity]]:
    """Name what is kept and may be deleted, each with its addon: nothing that some addon has again."""
    return [(one.name, kept) for one in states for kept in one.kept if kept not in wanted]


def delete(
    server: Kube, states: Collection[AddonState], kept: Collection[tuple[str, Identity]], say: Callable[[str], None]
) -> None:
    """Delete what is kept, the last first, unless it bears another label by now; say what came of each.

    What is gone, or left alone and so nobody's of ours any more, is forgotten; also when this is cut off.

    Raises:
        Problems: of what could not be asked for or deleted; it stays in the record, and is deleted the next time.
        NotYet: the record could not be written.
    """
    done: set[Identity] = set()
    troubles: list[Problem] = []
    try:
        for addon, one in reversed(list(kept)):
            try:
                say(f"{one} {_delete(server, addon, one)}")
                done.add(one)
            except NotYet as trouble:
                troubles.append(trouble)
    finally:
        if done:
            forget(server, states, done)
    raise_all(troubles)


def _delete(server: Kube, addon: str, one: Identity) -> str:
    path = PLACES[one.group, one.kind].format(namespace=one.namespace, name=one.name)
    status, body = server.request("GET", path)
    if status == HTTPStatus.NOT_FOUND:
        return "was gone already"
    if status != HTTPStatus.OK:
        raise _refusal(server, f"does not give {one}", status)
    if _owner(body) != addon:
        return "was left alone: it is not this addon's by its label"
    status, _ = server.request("DELETE", path)
    if status not in (HTTPStatus.OK, HTTPStatus.ACCEPTED, HTTPStatus.NOT_FOUND):
        raise _refusal(server, f"does not delete {one}", status)
    return "is deleted"


def _refusal(server: Kube, what: str, status: int | None) -> NotYet:
    said = "it does not answer" if status is None else f"it answers {status}"
    hint = "`gen launch --prune-data` tries it again"
    return NotYet(f"the API server {what}: {said}", where=server.address, hint=hint)


def forget(server: Kube, states: Collection[AddonState], gone: Collection[Identity]) -> None:
    """Take what is gone out of the cluster's record; nodes find it out by themselves when they next apply addons.

    Raises:
        NotYet: the record could not be written.
    """
    left = {}
    for one in states:
        kept = [list(astuple(each)) for each in one.kept if each not in gone]
        if kept or one.more or one.state != "removed":
            left[one.name] = {"state": one.state, "why": one.why, "kept": kept, "more": one.more}
    text = json.dumps({name: {key: value for key, value in one.items() if value} for name, one in left.items()})
    change = {"data": {"states": text if left else None}}
    status, _ = server.request("PATCH", ADDONS_RECORD, change, kind="application/merge-patch+json")
    if status != HTTPStatus.OK:
        raise _refusal(server, "does not take the record of addons", status)


def _owner(body: bytes) -> str | None:
    try:
        labels = json.loads(body)["metadata"].get("labels") or {}
        owner = labels.get(LABEL)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return owner if isinstance(owner, str) else None
