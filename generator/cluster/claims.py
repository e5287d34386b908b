"""Finds the data that lies on a node's own disk and nowhere else: local volumes that a claim holds."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import quote

from generator.cluster.kube_api import Kube
from generator.cluster.kube_objects import Affinity, PersistentVolume, Pod, listed
from generator.plain_text import harmless

HOSTNAME = "kubernetes.io/hostname"


@dataclass(frozen=True)
class Claim:
    """A claim whose volume is a directory of one node."""

    namespace: str
    name: str
    size: str
    pods: tuple[str, ...]

    def __str__(self) -> str:
        """Name it, with who uses it."""
        used = f", used by {', '.join(self.pods)}" if self.pods else ""
        return harmless(f"{self.namespace}/{self.name} ({self.size}){used}")


def on(server: Kube, node: str, kept: Collection[str] = ()) -> tuple[Claim, ...]:
    """List the claims whose data a node takes with it.

    Args:
        kept: directories that outlive its droplet.

    Raises:
        NotYet: the API server does not say.
    """
    volumes = listed(server, PersistentVolume, "/api/v1/persistentvolumes")
    return tuple(_claim(server, one) for one in volumes if is_bound_to(one, node) and not _is_kept(one, kept))


def bound_to(server: Kube, node: str) -> set[tuple[str, str]]:
    """Give the claims, by namespace and name, whose data lies on a node, whether it outlives the droplet or not.

    Raises:
        NotYet: the API server does not say.
    """
    volumes = listed(server, PersistentVolume, "/api/v1/persistentvolumes")
    held = (one.spec.claimRef for one in volumes if is_bound_to(one, node))
    return {(one.namespace or "", one.name) for one in held if one is not None}


def _is_kept(volume: PersistentVolume, kept: Collection[str]) -> bool:
    """Tell whether a volume lies in a directory that is kept."""
    where = str((volume.spec.local or volume.spec.hostPath or {}).get("path", ""))
    return any(PurePosixPath(where).is_relative_to(one) for one in kept)


def is_bound_to(volume: PersistentVolume, node: str) -> bool:
    """Tell whether a volume is claimed, and lies on this node."""
    spec = volume.spec
    is_local = spec.local is not None or spec.hostPath is not None
    return is_local and spec.claimRef is not None and node in _hosts(spec.nodeAffinity)


def _hosts(affinity: Affinity | None) -> Iterator[str]:
    """Give the host names that an affinity requires."""
    required = affinity.required if affinity else None
    for term in (required.nodeSelectorTerms if required else None) or ():
        for one in term.matchExpressions or ():
            if (one.key, one.operator) == (HOSTNAME, "In"):
                yield from one.values or ()


def _claim(server: Kube, volume: PersistentVolume) -> Claim:
    reference = volume.spec.claimRef
    namespace, name = (reference.namespace or "", reference.name) if reference else ("", "")
    pods = listed(server, Pod, f"/api/v1/namespaces/{quote(namespace)}/pods")
    users = tuple(pod.metadata.name for pod in pods if (namespace, name) in pod.claims)
    size = str((volume.spec.capacity or {}).get("storage", "of unknown size"))
    return Claim(namespace, name, size, users)
