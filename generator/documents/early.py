"""Decides which images a node fetches before a pod of its own asks for them: those of pods that every node runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from generator.manifests.kinds import WORKLOADS

Object = Mapping[str, Any]
EVERY, SCHEDULABLE = "every", "schedulable"


def early(objects: Iterable[Object], schedulable: int) -> dict[str, list[str]]:
    """List images as containerd keeps them, `registry/repository@digest`, in the order in which pods are applied.

    Args:
        schedulable: how many nodes take any pod: a Deployment with as many replicas is on each of them, too.

    Returns:
        `every`: of pods on all nodes; `schedulable`: of those on nodes without a taint alone. An image that is not
        pinned, or that needs a secret, is in neither.
    """
    found: dict[str, list[str]] = {EVERY: [], SCHEDULABLE: []}
    for item in objects:
        if item["kind"] not in WORKLOADS or not _is_on_each(item, schedulable):
            continue
        pod = item["spec"]["template"]["spec"]
        if not pod.get("imagePullSecrets"):
            found[EVERY if _goes_anywhere(pod) else SCHEDULABLE] += _images(pod)
    every = list(dict.fromkeys(found[EVERY]))
    return {EVERY: every, SCHEDULABLE: [one for one in dict.fromkeys(found[SCHEDULABLE]) if one not in every]}


def _is_on_each(item: Object, schedulable: int) -> bool:
    return item["kind"] == "DaemonSet" or int(item["spec"].get("replicas", 1)) >= schedulable


def _goes_anywhere(pod: Object) -> bool:
    return any(one.get("operator") == "Exists" and not one.get("key") for one in pod.get("tolerations") or ())


def _images(pod: Object) -> Iterator[str]:
    for container in (*(pod.get("initContainers") or ()), *pod["containers"]):
        reference, _, digest = container["image"].partition("@")
        registry, _, path = reference.partition("/")
        if digest and path and ("." in registry or ":" in registry):
            yield f"{registry}/{path.partition(':')[0]}@{digest}"
