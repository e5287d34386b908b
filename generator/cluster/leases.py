"""Tells by their leases which kubelets reach the API: a machine that is gone renews none, whatever lists still show."""

from __future__ import annotations

from collections.abc import Iterable

from generator.cluster.kube_api import Kube
from generator.cluster.kube_objects import Lease, listed

PLACE = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"


def unrenewed(server: Kube, nodes: Iterable[str], before: dict[str, str]) -> list[str]:
    """Name the nodes whose kubelet has not renewed its lease since the first time this was asked.

    Args:
        before: what was seen then; empty at first, and filled here. No clock is compared with another.

    Raises:
        NotYet: the API server does not list them.
    """
    now = {one.metadata.name: (one.spec.renewTime if one.spec else "") or "" for one in listed(server, Lease, PLACE)}
    return [node for node in nodes if now.get(node, "") == before.setdefault(node, now.get(node, ""))]
