"""Checks labels and annotations of objects as the API server does."""

from __future__ import annotations

import re
from collections.abc import Iterator

from generator.errors import Problem
from generator.manifests.reading import Item
from generator.validation import shown

LIMIT_ANNOTATIONS_BYTES = 256 * 1024
"""Of one object. Source: https://github.com/kubernetes/apimachinery (pkg/api/validation/objectmeta.go)"""
_WORD = r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
_HOST = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*"
# Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/
_KEY = re.compile(rf"((?=[^/]{{1,253}}/){_HOST}/)?{_WORD}")
_VALUE = re.compile(rf"({_WORD})?")
# Source: https://kubernetes.io/docs/concepts/security/pod-security-admission/
_SECURITY = re.compile(r"pod-security\.kubernetes\.io/(enforce|audit|warn)(-version)?")
_LEVELS = ("privileged", "baseline", "restricted")
_VERSION = re.compile(r"latest|v1\.(0|[1-9][0-9]{0,3})")


def problems(item: Item, place: str, key: str, value: str) -> Iterator[Problem]:
    """Find what the API server refuses of one label or annotation; `place` says which of both."""
    where = item.where("metadata", place, key)
    # Of annotations the API server does not mind capitals, in front of the `/` neither.
    if not _KEY.fullmatch(key if place == "labels" else key.lower()):
        hint = "write `<name>` or `<host>/<name>`, the name of letters, digits, `-`, `_` and `.`, at most 63"
        yield Problem(f"{shown(key)} can't be a key of {place}", where=where, hint=hint)
    if place != "labels":
        return
    if not _VALUE.fullmatch(value):
        hint = "use letters, digits, `-`, `_` and `.`, at most 63, the first and last no sign; or an annotation"
        yield Problem(f"the value of the label `{key}` is {shown(value)}", where=where, hint=hint)
    elif item.kind == "Namespace" and (security := _SECURITY.fullmatch(key)):
        if security[2] and not _VERSION.fullmatch(value):
            yield Problem(f"`{key}` is {shown(value)}", where=where, hint="use `latest`, or a release such as `v1.36`")
        elif not security[2] and value not in _LEVELS:
            yield Problem(f"`{key}` is {shown(value)}", where=where, hint=f"one of: {', '.join(_LEVELS)}")


def too_long(item: Item) -> Iterator[Problem]:
    """Find more annotations than an object may have."""
    found = item.metadata.get("annotations")
    size = sum(len(f"{key}{value}".encode()) for key, value in found.items()) if isinstance(found, dict) else 0
    if size > LIMIT_ANNOTATIONS_BYTES:
        message = f"the annotations of {item.kind} {item.identity.name} have {size:,} bytes"
        hint = f"at most {LIMIT_ANNOTATIONS_BYTES:,} are taken"
        yield Problem(message, where=item.where("metadata", "annotations"), hint=hint)
