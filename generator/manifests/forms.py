"""Knows the keys of a kustomization, and what may be at each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from generator.manifests import matching
from generator.validation import shown, suggestion

TEXT, LIST, MAPPING, TEXTS, LINES = "text", "a list", "a mapping", "a mapping of texts", "a list of texts"
SWITCH, NUMBER, PATTERN = "true or false", "a whole number", "a name, or a pattern of letters, digits and `.*|-`"
_IS: Mapping[str, Callable[[Any], bool]] = {
    TEXT: lambda value: isinstance(value, str),
    LIST: lambda value: isinstance(value, list),
    MAPPING: lambda value: isinstance(value, dict),
    TEXTS: lambda value: isinstance(value, dict) and all(isinstance(one, str) for one in value.values()),
    LINES: lambda value: isinstance(value, list) and all(isinstance(one, str) for one in value),
    SWITCH: lambda value: isinstance(value, bool),
    NUMBER: lambda value: isinstance(value, int) and not isinstance(value, bool),
    PATTERN: lambda value: isinstance(value, str) and matching.is_pattern(value),
}
KEYS: Mapping[str, str] = {
    "apiVersion": TEXT,
    "kind": TEXT,
    "metadata": MAPPING,
    "resources": LIST,
    "namespace": TEXT,
    "namePrefix": TEXT,
    "nameSuffix": TEXT,
    "labels": LIST,
    "commonLabels": TEXTS,
    "commonAnnotations": TEXTS,
    "images": LIST,
    "replicas": LIST,
    "patches": LIST,
    "configMapGenerator": LIST,
    "generatorOptions": MAPPING,
}
ENTRY: Mapping[str, Mapping[str, str]] = {
    "labels": {"pairs": TEXTS, "includeSelectors": SWITCH, "includeTemplates": SWITCH},
    "images": {"name": TEXT, "newName": TEXT, "newTag": TEXT, "digest": TEXT},
    "replicas": {"name": TEXT, "count": NUMBER},
    "patches": {"path": TEXT, "patch": TEXT, "target": MAPPING},
    "configMapGenerator": {
        "name": TEXT,
        "namespace": TEXT,
        "literals": LINES,
        "files": LINES,
        "envs": LINES,
        "options": MAPPING,
    },
}
TARGET = dict.fromkeys(("group", "version", "kind", "name", "namespace"), PATTERN)
OPTIONS = {"disableNameSuffixHash": SWITCH, "labels": TEXTS, "annotations": TEXTS, "immutable": SWITCH}
# What kustomize takes besides, and what to do instead.
_REFUSED = {
    "bases": "list it in `resources`",
    "patchesStrategicMerge": "list them in `patches`, each as `path`",
    "patchesJson6902": "list them in `patches`, with `target`",
    "secretGenerator": "values lie below `keys/<cluster>/addons/<namespace>/<secret>/`, and are in no repository",
    "helmCharts": "render the chart into a directory of manifests, and name that",
    "components": "list their manifests in `resources`, and their patches in `patches`",
}


class Wrong(NamedTuple):
    """What is wrong with one key."""

    key: str
    message: str
    hint: str | None = None


def unknown(keys: Mapping[str, Any]) -> Iterator[Wrong]:
    """Find keys of a kustomization that are not known here."""
    for key in keys:
        if key not in KEYS:
            hint = _REFUSED.get(key) or suggestion(key, KEYS) or f"known keys: {', '.join([*KEYS][3:])}"
            yield Wrong(key, f"`{key}` of a kustomization is not supported", hint)


def strange(keys: Mapping[str, Any], known: Mapping[str, str], prefix: str) -> Iterator[Wrong]:
    """Find keys below `prefix` that are not among the known ones."""
    for key in keys:
        if key not in known:
            yield Wrong(key, f"`{prefix}.{key}` is not supported", f"known keys: {', '.join(known)}")


def misfits(keys: Mapping[str, Any], known: Mapping[str, str], prefix: str = "") -> Iterator[Wrong]:
    """Find known keys with something else than may be there; one without a value is as if it were not written."""
    for key, form in known.items():
        value = keys.get(key)
        if value is not None and not _IS[form](value):
            hint = "`.*` fits everything" if form == PATTERN else None
            yield Wrong(key, f"`{prefix}{key}` is {shown(value)}, and not {form}", hint)
