"""Checks the objects of an addon one by one, before anything is asked of a cluster."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping

from generator.description.values import CLOSED_NAMESPACES, OWN_NAMESPACES
from generator.errors import Problem
from generator.manifests import images, marks, pins, shapes
from generator.manifests.reading import Item
from generator.release import lock_file
from generator.validation import Misfit, shown, suggestion

LIMIT_BYTES = 1_572_864
"""What etcd takes of one request. Source: https://etcd.io/docs/v3.6/dev-guide/limit/"""
LIMIT_DATA_BYTES = 1_048_576
"""What a ConfigMap or a Secret may hold. Source: https://kubernetes.io/docs/concepts/configuration/configmap/"""
LIMIT_OBJECTS = 2_000
CLOSED = frozenset({*CLOSED_NAMESPACES, *OWN_NAMESPACES})
"""Namespaces of this program's addons, and of Kubernetes: what is there is ours."""
OURS = "hardway/"
READER = "extension-apiserver-authentication-reader"
"""The one role that who extends the API has to be bound to, in `kube-system`."""

_SERVERS = (
    *("creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "generation", "managedFields"),
    *("ownerReferences", "resourceVersion", "selfLink", "uid"),
)
_SERVED = ("name", "labels", "annotations")
_SEGMENT = re.compile(r"(?!\.{1,2}$)[^/%\x00-\x20]{1,253}")
_SUBDOMAIN = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
# The kinds whose names may have more than letters of a host's name.
_FREE = frozenset({"ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"})


def shape(item: Item) -> Iterator[Problem]:
    """Find what makes something no object that could be applied; of others nothing else can be said."""
    for key, found in (("apiVersion", item.version), ("kind", item.kind)):
        if not found:
            value = item.value.get(key)
            what = f"`{key}` is {shown(value)}, not text" if key in item.value else f"has no `{key}`"
            yield Problem(what, where=item.where(key))
    if item.kind == "List" or (item.kind.endswith("List") and isinstance(item.value.get("items"), list)):
        hint = "write each object as a document of its own, with `---` between them"
        yield Problem(f"is a `{item.kind}` of objects", where=item.where("kind"), hint=hint)
        return
    if not isinstance(item.value.get("metadata"), dict):
        yield Problem(f"{item.kind or 'an object'} has no `metadata`, and so no name", where=item.where("metadata"))
        return
    name = item.metadata.get("name")
    if "generateName" in item.metadata:
        hint = "give it a `name`: what is applied again has to be found again"
        yield Problem(f"{item.kind} has `generateName`", where=item.where("metadata", "generateName"), hint=hint)
    elif not isinstance(name, str) or not name:
        what = "has no name" if name in (None, "") else f"has the name {shown(name)}, which is not text"
        yield Problem(f"{item.kind or 'an object'} {what}", where=item.where("metadata", "name"))
    elif not _is_name(item.kind, name):
        hint = "use a-z, 0-9, `-` and `.`, at most 253 characters"
        yield Problem(f"{shown(name)} is no name of a {item.kind}", where=item.where("metadata", "name"), hint=hint)
    yield from shapes.problems(item)


def _is_name(kind: str, name: str) -> bool:
    form = _SEGMENT if kind in _FREE else _LABEL if kind in ("Namespace", "Service") else _SUBDOMAIN
    return form.fullmatch(name) is not None


def contents(item: Item) -> Iterator[Problem]:
    """Find what may not be in an object of a user's."""
    for key in _SERVERS:
        if item.metadata.get(key) is not None:
            hint = "take it out: it was written by the server from which this was read"
            yield Problem(f"{item.kind} has `metadata.{key}`", where=item.where("metadata", key), hint=hint)
    if item.value.get("status"):
        yield Problem(f"{item.kind} has a `status`", where=item.where("status"), hint="take it out: it is the server's")
    for place in ("labels", "annotations"):
        found = item.metadata.get(place)
        for key, value in found.items() if isinstance(found, dict) else ():
            where = item.where("metadata", place, key)
            if key.startswith(OURS):
                yield Problem(f"`{key}` is one of our own {place}", where=where, hint="take it out")
            elif not isinstance(value, str):
                yield Problem(f"the value of `{key}` is {shown(value)}, not text", where=where, hint="put it in quotes")
            else:
                yield from marks.problems(item, place, key, value)
    yield from marks.too_long(item)
    size = len(json.dumps(item.value, separators=(",", ":"), ensure_ascii=False).encode())
    data = item.value.get("data")
    if size > LIMIT_BYTES:
        message = f"{item.kind} {item.identity.name} has {size:,} bytes, etcd takes {LIMIT_BYTES:,} at most"
        yield Problem(message, where=item.where(), hint="divide it, or let its pods fetch what is large")
    elif item.kind in ("ConfigMap", "Secret") and isinstance(data, dict):
        held = sum(len(str(value).encode()) for value in data.values())
        if held > LIMIT_DATA_BYTES:
            message = f"{item.kind} {item.identity.name} holds {held:,} bytes, at most {LIMIT_DATA_BYTES:,} are taken"
            yield Problem(message, where=item.where("data"), hint="divide it, or let its pods fetch what is large")


def served(item: Item) -> Iterator[Problem]:
    """Find in a Namespace that the ingress serves what could keep the API server from taking it.

    It is made with what every cluster needs, and whatever is refused there holds up all the rest.
    """
    kept = (("apiVersion", "kind", "metadata"), item.value, ()), (_SERVED, item.metadata, ("metadata",))
    for known, keys, path in kept:
        for key in keys:
            if key not in (*known, *_SERVERS, "status", "generateName") and keys[key] is not None:
                named = ".".join((*path, key))
                message = f"the namespace {item.identity.name} is served by the ingress, and has `{named}`"
                hint = "take it out: only its labels and annotations are made before the addon"
                yield Problem(message, where=item.where(*path, key), hint=hint)


def place(item: Item, known: Mapping[tuple[str, str], bool]) -> Iterator[Problem]:
    """Find an unknown kind, a namespace that is missing or too much, and what is in places of ours.

    Args:
        known: whether it belongs to a namespace, by apiVersion and kind, of all kinds that the cluster has then.
    """
    identity = item.identity
    namespaced = known.get((item.version, item.kind))
    where = item.where("metadata", "namespace")
    if namespaced is None:
        yield _unknown(item, known)
    elif namespaced and not identity.namespace:
        hint = "write `metadata.namespace`, or let a kustomization do it with `namespace`"
        yield Problem(f"{item.kind} {identity.name} names no namespace", where=where, hint=hint)
    elif not namespaced and identity.namespace:
        message = f"{item.kind} {identity.name} names the namespace {shown(identity.namespace)}"
        yield Problem(message, where=where, hint=f"take it out: no {item.kind} belongs to one")
    elif identity.namespace in CLOSED and not _may_be_there(item):
        message = f"{item.kind} {identity.name} is in `{identity.namespace}`, where only this program's objects are"
        yield Problem(message, where=where, hint="give the addon a namespace of its own")
    if item.kind == "Namespace" and identity.name in {*CLOSED, "default"}:
        message = f"the namespace `{identity.name}` is there without this addon"
        yield Problem(message, where=item.where("metadata", "name"), hint="take it out")
    if namespaced is False and identity.name.startswith(("hardway", "system:")):
        message = f"{item.kind} {shown(identity.name)} has a name that is reserved"
        yield Problem(message, where=item.where("metadata", "name"), hint="names of ours begin so, or of Kubernetes'")


def _may_be_there(item: Item) -> bool:
    role = item.value.get("roleRef")
    is_reader = isinstance(role, dict) and (role.get("kind"), role.get("name")) == ("Role", READER)
    return item.kind == "RoleBinding" and item.identity.namespace == "kube-system" and is_reader


def _unknown(item: Item, known: Iterable[tuple[str, str]]) -> Problem:
    others = sorted(version for version, kind in known if kind == item.kind)
    if others:
        hint = f"`{item.kind}` is of {' or '.join(f'`{one}`' for one in others)}"
    else:
        names = [kind for _, kind in known]
        hint = suggestion(item.kind, names) or "its CustomResourceDefinition is in no addon"
    return Problem(f"`{item.kind}` of `{item.version}` is an unknown kind", where=item.where("kind"), hint=hint)


def unpinned(item: Item, digests: Mapping[str, str]) -> Iterator[Problem]:
    """Find images without a digest, of which none is kept either."""
    for path, image in images.of(item):
        if images.is_pinned(image) or images.full(image) in digests:
            continue
        try:
            lock_file.image("own", images.full(image))
        except Misfit as misfit:
            hint = "write `<registry>/<repository>:<tag>`, with a tag that stays, or a digest behind it"
            yield Problem(
                f"the image {shown(image)} can't be pinned: {misfit.message}", where=item.where(*path), hint=hint
            )
        else:
            yield Problem(f"the image `{image}` has no digest", where=item.where(*path), hint=pins.PINNING)


def secrets(item: Item) -> Iterator[str]:
    """Warn of a Secret whose content is committed."""
    if item.kind == "Secret" and (item.value.get("data") or item.value.get("stringData")):
        identity = item.identity
        kept = f"keys/<cluster>/addons/{identity.namespace}/{identity.name}/<key>"
        yield f"{item.where()}: {identity} is in a manifest, for everybody who reads the repository; put it in `{kept}`"
