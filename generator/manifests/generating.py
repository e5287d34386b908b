"""Makes ConfigMaps as a kustomization's generator does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def literal(text: str) -> dict[str, str]:
    """Read `<key>=<value>`; quotes around the value are not part of it.

    >>> literal("a='b c'")
    {'a': 'b c'}
    """
    key, _, value = text.partition("=")
    is_quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    return {key: value[1:-1] if is_quoted else value}


def environment(text: str) -> dict[str, str]:
    """Read a file of such lines, in which `#` begins a comment."""
    lines = (line.lstrip() for line in text.splitlines())
    found = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {key: value for key, _, value in found}


def config_map(
    entry: Mapping[str, Any], data: Mapping[str, str], general: Mapping[str, Any], own: Mapping[str, Any]
) -> dict[str, Any]:
    """Make the object; `general` are the options for all, `own` those of this one."""
    metadata: dict[str, Any] = {"name": entry.get("name")}
    metadata |= {"namespace": entry["namespace"]} if entry.get("namespace") else {}
    for key in ("labels", "annotations"):
        pairs = {**(general.get(key) or {}), **(own.get(key) or {})}
        metadata |= {key: pairs} if pairs else {}
    value = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": dict(sorted(data.items()))}
    return value | ({"immutable": True} if {**general, **own}.get("immutable") else {})
