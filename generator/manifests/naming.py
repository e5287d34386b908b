"""Follows objects through kustomizations: what each has been called, and what names it when that changes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from generator.manifests import kinds, matching, transforming
from generator.manifests.reading import Item

_EVERYWHERE = frozenset(kind for (_, kind), is_namespaced in kinds.SERVED.items() if not is_namespaced)


@dataclass
class Piece:
    """An object on its way through kustomizations; `names` are what it has been called, with kind and namespace."""

    item: Item
    is_hashed: bool = False
    names: set[tuple[str, str, str]] = field(default_factory=set)

    @property
    def value(self) -> dict[str, Any]:
        """Give the object as it is now."""
        return self.item.value

    @property
    def called(self) -> tuple[str, str, str]:
        """Give what it is called now: kind, namespace and name."""
        identity = self.item.identity
        return identity.kind, identity.namespace, identity.name


def piece(item: Item) -> Piece:
    """Begin to follow an object, as a copy that can be changed."""
    found = Piece(replace(item, value=transforming.copied(item.value)))
    found.names.add(found.called)
    return found


def is_meant(piece: Piece, patch: Any, target: Any) -> bool:
    """Tell whether a patch is for an object: by its target, or by the kind and the name that itself has."""
    if isinstance(target, dict):
        item = piece.item
        group, _, version = item.version.rpartition("/")
        facts = {"group": group, "version": version, "kind": item.kind}
        if any(not matching.fits(target[key], facts[key]) for key in facts if target.get(key)):
            return False
        place = {"name": 2, "namespace": 1}
        return any(
            all(matching.fits(target[key], called[at]) for key, at in place.items() if target.get(key))
            for called in piece.names
        )
    metadata = patch.get("metadata") if isinstance(patch, dict) else None
    if not isinstance(metadata, dict) or patch.get("apiVersion") != piece.item.version:
        return False
    return any(
        (kind, namespace, name) == (patch.get("kind"), metadata.get("namespace") or "", metadata.get("name"))
        for kind, namespace, name in piece.names
    )


def into(pieces: Sequence[Piece], namespace: str) -> None:
    """Put everything that belongs to a namespace into this one, with all that names it."""
    scopes = {kind: scope for piece in pieces for kind, scope in kinds.defined(piece.value).items()}
    renamed: dict[int, str] = {}
    for piece in pieces:
        key = (piece.item.version, piece.item.kind)
        if key == ("v1", "Namespace"):
            renamed[id(piece)] = namespace
        elif kinds.SERVED.get(key, scopes.get(key, True)):
            piece.value["metadata"]["namespace"] = namespace
            piece.names.add(piece.called)
    for piece in pieces:
        for found in transforming.references(piece.value):
            name = str(found.holder.get(found.key))
            called = (found.kind, str(found.holder.get("namespace") or ""), name)
            is_theirs = any(
                called in other.names
                or (found.loose and (found.kind, name) == (other.item.kind, other.item.identity.name))
                for other in pieces
            )
            is_default = (found.kind, name) == ("ServiceAccount", "default")
            if found.beside and (is_theirs or is_default):
                found.holder["namespace"] = namespace
    rename(pieces, renamed)


def rename(pieces: Sequence[Piece], names: Mapping[int, str]) -> None:
    """Give objects other names, and write these where others name them."""
    moved = {}
    for piece in pieces:
        if id(piece) in names:
            moved[(piece.item.kind, piece.item.identity.namespace, piece.item.identity.name)] = names[id(piece)]
    for piece in pieces:
        own = piece.item.identity.namespace
        for found in transforming.references(piece.value):
            namespace = found.holder.get("namespace", own) if found.beside else own
            old = found.holder.get(found.key)
            place = "" if found.kind in _EVERYWHERE else str(namespace or "")
            new = moved.get((found.kind, place, str(old)))
            if new is None and found.loose:
                new = next((one for (kind, _, name), one in moved.items() if (kind, name) == (found.kind, old)), None)
            if new is not None:
                found.holder[found.key] = new
    for piece in pieces:
        if id(piece) in names:
            piece.value["metadata"]["name"] = names[id(piece)]
            piece.names.add(piece.called)


def content_hash(value: Mapping[str, Any]) -> str:
    """Give the end of the name of a generated ConfigMap, as kustomize makes it of what it holds.

    Source: https://github.com/kubernetes-sigs/kustomize (api/hasher/hasher.go)
    """
    text = json.dumps(
        {"data": value.get("data") or "", "kind": "ConfigMap", "name": ""},
        separators=(",", ":"),
        sort_keys=True,
        ensure_ascii=False,
    )
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    digest = hashlib.sha256(text.encode()).hexdigest()[:10]
    return digest.translate(str.maketrans("013ae", "ghkmt"))
