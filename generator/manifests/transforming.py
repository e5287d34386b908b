"""Changes objects as a kustomization wants it: namespace and names with all that refers to them, labels, images."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from generator.manifests.kinds import SERVED

_WORKLOADS = ("DaemonSet", "Deployment", "ReplicaSet", "ReplicationController", "StatefulSet")
_NOBODYS = frozenset({"ConfigMap", "CustomResourceDefinition", "Secret"})
# A mapping below this key names an object of this kind, in this field.
_BELOW = {
    "configMap": ("ConfigMap", "name"),
    "configMapKeyRef": ("ConfigMap", "name"),
    "configMapRef": ("ConfigMap", "name"),
    "persistentVolumeClaim": ("PersistentVolumeClaim", "claimName"),
    "secretKeyRef": ("Secret", "name"),
    "secretRef": ("Secret", "name"),
}
_PLAIN = {
    "ingressClassName": "IngressClass",
    "priorityClassName": "PriorityClass",
    "secretName": "Secret",
    "serviceAccountName": "ServiceAccount",
    "storageClassName": "StorageClass",
}


class Reference(NamedTuple):
    """A place that names another object: the mapping and its key, and the kind.

    `beside` tells whether a namespace is beside it, `loose` that it is found by its name alone.
    """

    holder: dict[str, Any]
    key: str
    kind: str
    beside: bool = False
    loose: bool = False


def references(value: dict[str, Any]) -> Iterator[Reference]:
    """Give the places at which an object of Kubernetes' own kinds names others."""
    kind = value.get("kind")
    if (value.get("apiVersion"), kind) not in SERVED:
        return
    if kind == "CustomResourceDefinition":
        webhook = ((value.get("spec") or {}).get("conversion") or {}).get("webhook") or {}
        yield from _service((webhook.get("clientConfig") or {}).get("service"))
    if kind in _NOBODYS:
        return
    if kind == "ServiceAccount":
        yield from (Reference(one, "name", "Secret") for one in value.get("secrets") or () if isinstance(one, dict))
    spec = value.get("spec")
    if kind == "StatefulSet" and isinstance(spec, dict) and "serviceName" in spec:
        yield Reference(spec, "serviceName", "Service")
    if kind == "APIService" and isinstance(spec, dict):
        yield from (one._replace(loose=True) for one in _service(spec.get("service")))
    for webhook in value.get("webhooks") or ():
        yield from _service((webhook.get("clientConfig") or {}).get("service"))
    for subject in value.get("subjects") or ():
        if subject.get("kind") == "ServiceAccount":
            yield Reference(subject, "name", "ServiceAccount", beside=True)
    yield from _anywhere(value)


def _service(found: Any) -> Iterator[Reference]:
    if isinstance(found, dict):
        yield Reference(found, "name", "Service", beside=True)


def _anywhere(value: Any) -> Iterator[Reference]:
    for child in value if isinstance(value, list) else ():
        yield from _anywhere(child)
    for key, child in value.items() if isinstance(value, dict) else ():
        if isinstance(child, dict):
            if key in _BELOW:
                kind, name = _BELOW[key]
                yield Reference(child, name, kind)
            elif key == "secret" and "name" in child:
                yield Reference(child, "name", "Secret")
            elif key == "service" and "port" in child:
                yield Reference(child, "name", "Service")
            elif key in ("roleRef", "scaleTargetRef"):
                yield Reference(child, "name", str(child.get("kind")))
        elif isinstance(child, str) and key in _PLAIN:
            yield Reference(value, key, _PLAIN[key])
        elif key == "imagePullSecrets" and isinstance(child, list):
            yield from (Reference(one, "name", "Secret") for one in child if isinstance(one, dict))
        yield from _anywhere(child)


def labelled(value: dict[str, Any], pairs: Mapping[str, str], *, selectors: bool, templates: bool) -> None:
    """Add labels to an object, to its pods', and to what selects them."""
    _add(value["metadata"], "labels", pairs)
    kind, spec = value.get("kind"), value.get("spec")
    if (value.get("apiVersion"), kind) not in SERVED or not isinstance(spec, dict):
        return
    if templates or selectors:
        for metadata in _templates(value):
            _add(metadata, "labels", pairs)
        for claim in spec.get("volumeClaimTemplates") or () if kind == "StatefulSet" else ():
            _add(_below(claim, "metadata"), "labels", pairs)
    if not selectors:
        return
    if kind in ("Service", "ReplicationController"):
        _add(spec, "selector", pairs)
    elif kind in _WORKLOADS:
        _add(_below(spec, "selector"), "matchLabels", pairs)
    for selector in _selectors(value):
        selector["matchLabels"].update(pairs)


def _selectors(value: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Give selectors of pods that get labels only where they have some."""
    kind, spec = value["kind"], value["spec"]
    found = [spec.get("selector")] if kind in ("Job", "PodDisruptionBudget") else []
    if kind == "CronJob":
        found.append(((spec.get("jobTemplate") or {}).get("spec") or {}).get("selector"))
    if kind == "NetworkPolicy":
        found.append(spec.get("podSelector"))
        for rule in (*(spec.get("ingress") or ()), *(spec.get("egress") or ())):
            found += [peer.get("podSelector") for peer in (*(rule.get("from") or ()), *(rule.get("to") or ()))]
    if kind in ("Deployment", "StatefulSet"):
        pods = (spec.get("template") or {}).get("spec") or {}
        found += [one.get("labelSelector") for one in pods.get("topologySpreadConstraints") or ()]
        for affinity in ("podAffinity", "podAntiAffinity"):
            terms = (pods.get("affinity") or {}).get(affinity) or {}
            found += [
                one.get("labelSelector") for one in terms.get("requiredDuringSchedulingIgnoredDuringExecution") or ()
            ]
            found += [
                (one.get("podAffinityTerm") or {}).get("labelSelector")
                for one in terms.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
            ]
    yield from (one for one in found if isinstance(one, dict) and isinstance(one.get("matchLabels"), dict))


def annotated(value: dict[str, Any], pairs: Mapping[str, str]) -> None:
    """Add annotations to an object and to its pods'."""
    _add(value["metadata"], "annotations", pairs)
    if (value.get("apiVersion"), value.get("kind")) in SERVED and isinstance(value.get("spec"), dict):
        for metadata in _templates(value):
            _add(metadata, "annotations", pairs)


def _templates(value: dict[str, Any]) -> Iterator[dict[str, Any]]:
    kind, spec = value["kind"], value["spec"]
    if kind == "CronJob":
        job = _below(spec, "jobTemplate")
        yield _below(job, "metadata")
        spec, kind = _below(job, "spec"), "Job"
    if kind in (*_WORKLOADS, "Job"):
        yield _below(_below(spec, "template"), "metadata")


def _below(holder: dict[str, Any], key: str) -> dict[str, Any]:
    """Give the mapping at a key, made where nothing is."""
    if holder.get(key) is None:
        holder[key] = {}
    found: dict[str, Any] = holder[key]
    return found


def _add(holder: dict[str, Any], key: str, pairs: Mapping[str, str]) -> None:
    holder[key] = {**(holder.get(key) or {}), **pairs}


def with_images(value: Any, change: Callable[[str], str]) -> Any:
    """Give an object with another image in each container."""
    if isinstance(value, list):
        return [with_images(child, change) for child in value]
    if not isinstance(value, dict):
        return value
    found = {key: with_images(child, change) for key, child in value.items()}
    for key in ("containers", "initContainers"):
        for one in found.get(key) or () if isinstance(found.get(key), list) else ():
            if isinstance(one, dict) and isinstance(one.get("image"), str):
                one["image"] = change(one["image"])
    return found


def image(old: str, name: str, entry: Mapping[str, Any]) -> str:
    """Give an image as an entry of `images` wants it; another's as it is.

    >>> image("nginx:1.26", "nginx", {"newName": "docker.io/library/nginx", "newTag": "1.27"})
    'docker.io/library/nginx:1.27'
    """
    found = re.fullmatch(rf"({re.escape(name)})(?::([^@/]+))?(?:@(sha256:[0-9a-f]+))?", old)
    if found is None:
        return old
    base, tag, digest = entry.get("newName") or found[1], found[2], found[3]
    if "newTag" in entry or "digest" in entry:
        tag, digest = entry.get("newTag"), entry.get("digest")
    return base + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")


def replicated(value: dict[str, Any], count: int) -> bool:
    """Set how many pods of an object run; tell whether it is one that has pods."""
    if value.get("kind") not in ("Deployment", "ReplicaSet", "ReplicationController", "StatefulSet"):
        return False
    if not isinstance(value.get("spec"), dict | None):
        return False
    _below(value, "spec")["replicas"] = count
    return True


def copied(value: Mapping[str, Any]) -> dict[str, Any]:
    """Give a copy that can be changed."""
    return copy.deepcopy(dict(value))
