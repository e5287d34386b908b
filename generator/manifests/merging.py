"""Applies patches to objects: strategic merges as kubectl's, and JSON patches of RFC 6902."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from generator.manifests.kinds import SERVED

# By which field entries of a list are the same, in objects of Kubernetes' own kinds; all other lists are replaced.
# Source: https://kubernetes.io/docs/reference/kubernetes-api/ ("patch strategy: merge on key")
Fields = tuple[str, ...]
_KEYS: Mapping[str, tuple[Fields, ...]] = {
    "containers": (("name",),),
    "env": (("name",),),
    "ephemeralContainers": (("name",),),
    "hostAliases": (("ip",),),
    "imagePullSecrets": (("name",),),
    "initContainers": (("name",),),
    "ports": (("containerPort", "protocol"), ("port", "protocol")),
    "resourceClaims": (("name",),),
    "secrets": (("name",),),
    "topologySpreadConstraints": (("topologyKey", "whenUnsatisfiable"),),
    "volumeDevices": (("devicePath",),),
    "volumeMounts": (("mountPath",),),
    "volumes": (("name",),),
    "webhooks": (("name",),),
}
# What the API server takes where the field is not written.
_DEFAULTS = {"protocol": "TCP"}
LIMIT_COPIED_BYTES, LIMIT_DEPTH = 1024 * 1024, 64
"""What one JSON patch may copy within an object, and how deep it may put something."""
_DIRECTIVE = "$patch"
_INDEX = re.compile(r"0|[1-9][0-9]{0,5}")


class CannotPatch(ValueError):  # noqa: N818 - it becomes a problem, with the patch's place before it
    """A patch does not fit what it is for."""


def merged(value: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any] | None:
    """Give an object with a strategic merge patch applied; None where the patch deletes it.

    In custom resources, of which nobody knows the keys, lists are replaced.

    Raises:
        CannotPatch: it has a directive that is not known here.
    """
    is_known = (value.get("apiVersion"), value.get("kind")) in SERVED
    result = _merged(value, patch, known=is_known)
    return result if isinstance(result, dict) else None


def _merged(old: Any, patch: Mapping[str, Any], *, known: bool) -> Any:
    directive = patch.get(_DIRECTIVE)
    if unknown := [key for key in patch if key.startswith("$") and key != _DIRECTIVE]:
        raise CannotPatch(f"`{unknown[0]}` is not known here")
    if directive == "delete":
        return None
    if directive not in (None, "replace", "merge"):
        raise CannotPatch(f"`$patch: {directive}` is not known here")
    result = {} if directive == "replace" or not isinstance(old, dict) else dict(old)
    for key, wanted in patch.items():
        if key == _DIRECTIVE:
            continue
        found: Any = wanted
        if isinstance(wanted, dict):
            found = _merged(result.get(key), wanted, known=known)
        elif isinstance(wanted, list) and (fields := _key_of(key, wanted, known=known)):
            found = _lists(result.get(key), wanted, fields)
        if found is None:
            result.pop(key, None)
        else:
            result[key] = found
    return result


def _key_of(name: str, wanted: Sequence[Any], *, known: bool) -> Fields | None:
    entries = [one for one in wanted if not _is_replace(one)]
    found = _KEYS.get(name, ()) if known and all(isinstance(one, dict) for one in entries) else ()
    return next((fields for fields in found if all(_key(one, fields) is not None for one in entries)), None)


def _key(entry: Any, fields: Fields) -> tuple[str, ...] | None:
    """Give what tells an entry from others; None where it lacks that."""
    if not isinstance(entry, dict):
        return None
    found = [entry.get(field, _DEFAULTS.get(field)) for field in fields]
    return tuple(repr(one) for one in found) if None not in found else None


def _is_replace(entry: Any) -> bool:
    return isinstance(entry, dict) and entry == {_DIRECTIVE: "replace"}


def _lists(old: Any, wanted: Sequence[dict[str, Any]], fields: Fields) -> list[Any]:
    """Merge entries with the same key, in the order that kustomize has.

    Those of the patch come first; but where several fields are the key, and all are written, only those that are new.
    """
    before = [] if not isinstance(old, list) or any(_is_replace(one) for one in wanted) else old
    entries = [one for one in wanted if not _is_replace(one)]
    there = {_key(one, fields): one for one in before}
    merged = {_key(one, fields): _merged(there.get(_key(one, fields), {}), one, known=True) for one in entries}
    stays = len(fields) > 1 and all(field in one for one in entries for field in fields)
    first = [one for key, one in merged.items() if not (stays and key in there)]
    rest = [merged.get(_key(one, fields), one) for one in before if stays or _key(one, fields) not in merged]
    return [one for one in (*first, *rest) if one is not None]


def patched(value: Mapping[str, Any], operations: Sequence[Any], count: Callable[[int], None]) -> dict[str, Any]:
    """Give an object with a JSON patch applied.

    Args:
        value: the object.
        operations: what is done to it, in order.
        count: is told how many bytes are copied within the object, before they are.

    Raises:
        CannotPatch: an operation is none, its place is not there, or far too much is copied.

    Source: https://www.rfc-editor.org/rfc/rfc6902
    """
    result = copy.deepcopy(dict(value))
    copied = 0
    for operation in operations:
        if not isinstance(operation, dict) or not isinstance(operation.get("path"), str):
            raise CannotPatch("an operation has `op` and `path`")
        if operation.get("op") == "copy" and isinstance(operation.get("from"), str):
            copied += (more := size(_at(result, operation["from"])))
            count(more)
            if copied > LIMIT_COPIED_BYTES:
                raise CannotPatch(f"it copies more than {LIMIT_COPIED_BYTES:,} bytes")
        _operate(result, operation)
        if operation["path"].count("/") > LIMIT_DEPTH or operation.get("op") in ("copy", "move"):
            size(result)
    return result


def size(value: Any) -> int:
    """Measure a value in bytes, about; every step is one at least.

    Raises:
        CannotPatch: it is nested too deep for an object.
    """
    found, left = 0, [(value, 0)]
    while left:
        one, depth = left.pop()
        if depth > LIMIT_DEPTH:
            raise CannotPatch(f"it makes something that is nested deeper than {LIMIT_DEPTH} levels")
        if isinstance(one, dict):
            found += sum(len(str(key)) for key in one)
            left += [(child, depth + 1) for child in one.values()]
        elif isinstance(one, list):
            left += [(child, depth + 1) for child in one]
        found += len(one) if isinstance(one, str) else 1
    return found


def _operate(root: dict[str, Any], operation: Mapping[str, Any]) -> None:
    kind, path = operation.get("op"), str(operation["path"])
    if kind in ("add", "replace", "test") and "value" not in operation:
        raise CannotPatch(f"`{kind}` of `{path}` has no `value`")
    if kind == "add":
        _put(root, path, copy.deepcopy(operation["value"]), insert=True)
    elif kind == "remove":
        _take(root, path)
    elif kind == "replace":
        _at(root, path)
        _put(root, path, copy.deepcopy(operation["value"]), insert=False)
    elif kind in ("move", "copy") and isinstance(operation.get("from"), str):
        found = _take(root, operation["from"]) if kind == "move" else copy.deepcopy(_at(root, operation["from"]))
        _put(root, path, found, insert=True)
    elif kind == "test":
        if _at(root, path) != operation["value"]:
            raise CannotPatch(f"`{path}` has another value than is tested for")
    else:
        raise CannotPatch(f"`{kind}` is no operation of a JSON patch")


def _steps(path: str) -> list[str]:
    if not path.startswith("/"):
        raise CannotPatch(f"`{path}` does not begin with `/`")
    return [step.replace("~1", "/").replace("~0", "~") for step in path[1:].split("/")]


def _at(root: Any, path: str) -> Any:
    for step in _steps(path):
        root = _child(root, step, path)
    return root


def _child(value: Any, step: str, path: str) -> Any:
    if isinstance(value, dict) and step in value:
        return value[step]
    if isinstance(value, list) and _INDEX.fullmatch(step) and int(step) < len(value):
        return value[int(step)]
    raise CannotPatch(f"there is no `{path}`")


def _parent(root: Any, path: str) -> tuple[Any, str]:
    *above, last = _steps(path)
    for step in above:
        root = _child(root, step, path)
    return root, last


def _put(root: Any, path: str, value: Any, *, insert: bool) -> None:
    parent, last = _parent(root, path)
    if isinstance(parent, dict):
        parent[last] = value
    elif isinstance(parent, list) and (last == "-" or (_INDEX.fullmatch(last) and int(last) <= len(parent))):
        place = len(parent) if last == "-" else int(last)
        parent[place : place if insert else place + 1] = [value]
    else:
        raise CannotPatch(f"there is no `{path}`")


def _take(root: Any, path: str) -> Any:
    found = _at(root, path)
    parent, last = _parent(root, path)
    del parent[last if isinstance(parent, dict) else int(last)]
    return found
