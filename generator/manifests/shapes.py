"""Knows which parts of objects have to be mappings, so that everything behind it may take them for such."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from generator.errors import Problem
from generator.manifests import kinds
from generator.manifests.reading import Item
from generator.strict_yaml import Location
from generator.validation import shown

# A part is a mapping where it is there; with `!` it has to be there, with `[]` it is a list of mappings.
_METADATA = ("metadata", "metadata.labels", "metadata.annotations")
_TERMS = tuple(
    f"spec.affinity.{affinity}.{term}"
    for affinity in ("podAffinity", "podAntiAffinity")
    for term in (
        *("requiredDuringSchedulingIgnoredDuringExecution[]", "preferredDuringSchedulingIgnoredDuringExecution[]"),
        *(
            "requiredDuringSchedulingIgnoredDuringExecution[].labelSelector",
            "preferredDuringSchedulingIgnoredDuringExecution[].podAffinityTerm",
            "preferredDuringSchedulingIgnoredDuringExecution[].podAffinityTerm.labelSelector",
        ),
    )
)
_PODS = (*_METADATA, "spec", "spec.affinity", "spec.affinity.podAffinity", "spec.affinity.podAntiAffinity", *_TERMS)
_PODS = (*_PODS, "spec.topologySpreadConstraints[]", "spec.topologySpreadConstraints[].labelSelector")
_JOB = ("spec!", "spec.selector", "spec.template!", *(f"spec.template.{part}" for part in _PODS))
_WORKLOAD = (*_JOB, "spec.selector.matchLabels", "spec.updateStrategy")
_CLAIMS = tuple(f"spec.volumeClaimTemplates[]{part}" for part in ("", *(f".{one}" for one in _METADATA)))
_WEBHOOKS = ("webhooks[]", "webhooks[].clientConfig", "webhooks[].clientConfig.service")
_CONVERSION = ("spec.conversion", "spec.conversion.webhook")
_PEERS = tuple(
    part
    for way, peer in (("ingress", "from"), ("egress", "to"))
    for part in (f"spec.{way}[]", f"spec.{way}[].{peer}[]", f"spec.{way}[].{peer}[].podSelector")
)
_PARTS: Mapping[str, tuple[str, ...]] = {
    "APIService": ("spec.service",),
    "ClusterRoleBinding": ("roleRef", "subjects[]"),
    "CronJob": (
        "spec!",
        "spec.jobTemplate!",
        "spec.jobTemplate.metadata",
        *(f"spec.jobTemplate.{one}" for one in _JOB),
    ),
    "CustomResourceDefinition": (*_CONVERSION, "spec.conversion.webhook.clientConfig"),
    "DaemonSet": _WORKLOAD,
    "Deployment": _WORKLOAD,
    "Job": _JOB,
    "MutatingWebhookConfiguration": _WEBHOOKS,
    "NetworkPolicy": ("spec.podSelector", *_PEERS),
    "PodDisruptionBudget": ("spec.selector",),
    "ReplicaSet": _WORKLOAD,
    "ReplicationController": _JOB,
    "RoleBinding": ("roleRef", "subjects[]"),
    "Service": ("spec.selector",),
    "ServiceAccount": ("secrets[]",),
    "StatefulSet": (*_WORKLOAD, *_CLAIMS),
    "ValidatingWebhookConfiguration": _WEBHOOKS,
}
_SERVICES = ("webhooks[].clientConfig.service", "spec.service", "spec.conversion.webhook.clientConfig.service")


def problems(item: Item) -> Iterator[Problem]:
    """Find the parts of an object that are no mappings, though nothing else can be there."""
    parts: tuple[str, ...] = _METADATA
    if (item.version, item.kind) in kinds.SERVED:
        parts = (*_METADATA, "spec", *_PARTS.get(item.kind, ()))
    seen = set()
    for part in parts:
        words = tuple(part.rstrip("!").split("."))
        for path, value, kind in _found(item.value, words, ()):
            if value is None and not part.endswith("!") and not isinstance(path[-1], int):
                continue
            if path not in seen and not isinstance(value, kind):
                seen.add(path)
                yield _wrong(item, path, value, kind)
    for part in _SERVICES if len(parts) > len(_METADATA) else ():
        for path, value, _ in _found(item.value, tuple(part.split(".")), ()):
            if isinstance(value, dict):
                yield from _nameless(item, value, path)


def _wrong(item: Item, path: Location, value: Any, kind: type) -> Problem:
    said = "missing" if value is None else f"{shown(value)}, not {'a list' if kind is list else 'a mapping'}"
    return Problem(f"`{_named(path)}` of {item.kind} is {said}", where=item.where(*path))


def _nameless(item: Item, service: Mapping[str, Any], path: Location) -> Iterator[Problem]:
    for key in ("namespace", "name"):
        if not isinstance(service.get(key), str) or not service[key]:
            said = f"{shown(service[key])}, not text" if key in service else "missing"
            message = f"`{_named((*path, key))}` of {item.kind} is {said}"
            yield Problem(message, where=item.where(*path, key), hint="it names a Service, and its namespace")


def _found(value: Any, words: tuple[str, ...], path: Location) -> Iterator[tuple[Location, Any, type]]:
    """Give what is at a part, with what it has to be; nothing where something above it is no mapping, or not there."""
    if not isinstance(value, dict):
        return
    word, *rest = words
    here, child = (*path, word.removesuffix("[]")), value.get(word.removesuffix("[]"))
    if not word.endswith("[]"):
        if rest:
            yield from _found(child, tuple(rest), here)
        else:
            yield here, child, dict
        return
    if not rest:
        yield here, child, list
    for index, one in enumerate(child) if isinstance(child, list) else ():
        if rest:
            yield from _found(one, tuple(rest), (*here, index))
        else:
            yield (*here, index), one, dict


def _named(path: Location) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")
