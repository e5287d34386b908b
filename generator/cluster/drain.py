"""Empties a node: no new pod comes, and those that are there leave by the eviction API, their budgets respected.

Pods whose data lies on the node can run nowhere else: they serve until the machine goes, and leave last.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from pydantic import BaseModel

from generator.clock import stamp
from generator.cluster import claims
from generator.cluster.kube_api import Kube, NotYet, read_json
from generator.cluster.kube_objects import Budget, DaemonSet, Node, Pod, changed, found, listed, pods_on
from generator.errors import Problem
from generator.plain_text import harmless

CORDONED = "hardway/cordoned"
"""The annotation of a Node that was cordoned here; a person's cordon has none, and stays."""
AT_ONCE = {"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0}
SHOWN = 5


class _Cause(BaseModel):
    message: str | None = None


class _Details(BaseModel):
    causes: list[_Cause] | None = None


class _Refusal(BaseModel):
    message: str | None = None
    details: _Details | None = None


def cordon(server: Kube, node: str) -> None:
    """Let no new pod come to a node; a Node that is not there needs none.

    Raises:
        NotYet: the API server does not take it.
    """
    there = found(server, Node, _node(node))
    if there is not None and not _is_closed(there):
        note = {CORDONED: stamp(datetime.now(UTC))}
        changed(server, _node(node), {"metadata": {"annotations": note}, "spec": {"unschedulable": True}})


def is_cordoned(server: Kube, node: str) -> bool:
    """Tell whether no new pod can come to a node.

    Raises:
        NotYet: the API server does not say.
    """
    there = found(server, Node, _node(node))
    return there is None or _is_closed(there)


def is_cordoned_by_us(server: Kube, node: str) -> bool:
    """Tell whether a node is cordoned, and no person did it.

    Raises:
        NotYet: the API server does not say.
    """
    there = found(server, Node, _node(node))
    return there is not None and CORDONED in (there.metadata.annotations or {})


def uncordon(server: Kube, node: str) -> None:
    """Let pods come again to a node that was cordoned here; a person's cordon stays.

    Raises:
        NotYet: the API server does not take it.
    """
    if is_cordoned_by_us(server, node):
        changed(server, _node(node), {"metadata": {"annotations": {CORDONED: None}}, "spec": {"unschedulable": None}})


class Drain:
    """The draining of one node, round after round.

    After `deadline` what budgets still hold is deleted with `force`, and waited for without. Pods that are at home on
    the node stay, unless they are the `last` ones; until then they are only asked about, so that who may not leave is
    known while everything can still be undone.
    """

    def __init__(self, node: str, deadline: datetime, *, force: bool, last: bool = False) -> None:
        self._node = node
        self._deadline = deadline
        self._force = force
        self._last = last
        self._refused: dict[str, str] = {}
        self._asked: set[str] = set()

    def round(self, server: Kube, now: datetime) -> None:
        """Ask for the eviction of each pod that has to leave and is not leaving yet.

        Raises:
            NotYet: the API server does not list the pods, or their volumes.
        """
        self._refused = {}
        is_forced = self._force and now > self._deadline
        home = self._at_home(server)
        self._asked = set(home)
        for pod in leaving(server, self._node):
            if pod.metadata.deletionTimestamp is not None:
                continue
            stays = str(pod) in home
            if is_forced:
                if not stays:
                    server.request("DELETE", pod.path)
            elif (why := _evict(server, pod, only_ask=stays)) is not None:
                self._refused[str(pod)] = why

    def awaited(self, server: Kube) -> str:
        """Tell which pods are there still, and what holds those that may not leave; empty when none is.

        Raises:
            NotYet: the API server does not list the pods, or their volumes.
        """
        home = self._at_home(server)
        names = [str(pod) for pod in leaving(server, self._node)]
        words = [
            f"{name} ({self._refused[name]})" if name in self._refused else name
            for name in names
            if name in self._refused or name not in home & self._asked
        ]
        more = f" and {len(words) - SHOWN} more" if len(words) > SHOWN else ""
        return f"{', '.join(words[:SHOWN])}{more} to leave {self._node}" if words else ""

    def _at_home(self, server: Kube) -> frozenset[str]:
        return frozenset() if self._last else frozenset(str(pod) for pod in at_home(server, self._node))


def at_home(server: Kube, node: str) -> tuple[Pod, ...]:
    """List the pods of a node that can run nowhere else: a claim of theirs is bound to a volume that lies on it.

    Raises:
        NotYet: the API server does not list the pods, or the volumes.
    """
    bound = claims.bound_to(server, node)
    return tuple(pod for pod in leaving(server, node) if bound & set(pod.claims)) if bound else ()


def leaving(server: Kube, node: str) -> tuple[Pod, ...]:
    """List the pods that have to leave a node: not its daemons, nor what its kubelet runs of itself, nor what is over.

    Raises:
        NotYet: the API server does not list the pods.
    """
    return tuple(pod for pod in pods_on(server, node) if not pod.stays and not pod.is_over)


def orphans(server: Kube, node: str) -> tuple[str, ...]:
    """Name the pods of a node that nothing makes anew once they are gone.

    Raises:
        NotYet: the API server does not list the pods.
    """
    return tuple(str(pod) for pod in leaving(server, node) if pod.controller is None)


def warnings(server: Kube, node: str) -> tuple[str, ...]:
    """Say what a person should know before a node is emptied.

    Raises:
        NotYet: the API server does not say.
    """
    pods = leaving(server, node)
    homes = {pod.metadata.namespace for pod in pods}
    return tuple(_warnings(pods, [one for one in listed(server, Budget, _BUDGETS) if one.metadata.namespace in homes]))


def daemons(server: Kube, node: str) -> list[str]:
    """Name the DaemonSets whose pod on a node is not ready, or that have none there and lack one somewhere.

    Raises:
        NotYet: the API server does not say.
    """
    own: dict[tuple[str | None, str], Pod] = {}
    for pod in pods_on(server, node):
        if pod.controller is not None and pod.metadata.deletionTimestamp is None:
            own[pod.metadata.namespace, pod.controller.name] = pod
    missing = []
    for daemon in listed(server, DaemonSet, "/apis/apps/v1/daemonsets"):
        pod_there = own.get((daemon.metadata.namespace, daemon.metadata.name))
        status = daemon.status
        lacks = status is None or (status.numberReady or 0) < (status.desiredNumberScheduled or 0)
        if (pod_there is None and lacks) or (pod_there is not None and not pod_there.is_ready):
            missing.append(harmless(f"{daemon.metadata.namespace}/{daemon.metadata.name}"))
    return missing


def stuck(server: Kube, node: str) -> tuple[Pod, ...]:
    """List the pods of a node that are to go, and that a machine which is gone can't end.

    Raises:
        NotYet: the API server does not list the pods.
    """
    return tuple(pod for pod in pods_on(server, node) if pod.metadata.deletionTimestamp is not None)


def settle(server: Kube, node: str) -> None:
    """Remove the pods that are to go from a node without a machine: nobody else will say that they have ended.

    Raises:
        NotYet: the API server does not list the pods.
    """
    for pod in stuck(server, node):
        server.request("DELETE", pod.path, AT_ONCE)


def forget(server: Kube, node: str) -> None:
    """Remove the Node of a machine that is gone; its lease goes with it.

    Raises:
        NotYet: the API server does not take it.
    """
    settle(server, node)
    status, _ = server.request("DELETE", _node(node))
    if status not in (HTTPStatus.OK, HTTPStatus.ACCEPTED, HTTPStatus.NOT_FOUND):
        raise NotYet("the API server does not remove the Node", where=node)


_BUDGETS = "/apis/policy/v1/poddisruptionbudgets"


def _warnings(pods: tuple[Pod, ...], budgets: list[Budget]) -> Iterator[str]:
    for pod in pods:
        if pod.controller is None:
            yield f"{pod} has no controller: nothing makes it anew"
        scratch = [volume.name for volume in pod.spec.volumes or () if volume.emptyDir is not None]
        if scratch:
            yield harmless(f"{pod} loses what is in its {', '.join(scratch)}")
    for budget in budgets:
        status = budget.status
        if status is not None and status.expectedPods and (status.desiredHealthy or 0) >= status.expectedPods:
            name = f"{budget.metadata.namespace}/{budget.metadata.name}"
            yield harmless(f"the budget {name} wants all of its {status.expectedPods} pods, and lets none leave")


def _evict(server: Kube, pod: Pod, *, only_ask: bool = False) -> str | None:
    """Ask for one eviction, or only whether it would be allowed; give why not, None where it is, or the pod is gone."""
    eviction: dict[str, Any] = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod.metadata.name, "namespace": pod.metadata.namespace},
    }
    query = "?dryRun=All" if only_ask else ""
    status, body = server.request("POST", f"{pod.path}/eviction{query}", eviction)
    if status in (HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.NOT_FOUND):
        return None
    if status is None:
        return "no API server answers"
    refusal = read_json(_Refusal, body)
    causes = (refusal.details.causes if refusal and refusal.details else None) or ()
    said = next((one.message for one in causes if one.message), None) or (refusal.message if refusal else None)
    return harmless((said or f"answer {status}")[:200])


def _node(node: str) -> str:
    return f"/api/v1/nodes/{quote(node)}"


def _is_closed(node: Node) -> bool:
    return bool(node.spec and node.spec.unschedulable)


def refuse_orphans(server: Kube, node: str) -> Iterator[Problem]:
    """Find the pods that would be gone for good.

    Raises:
        NotYet: the API server does not list the pods.
    """
    for pod in orphans(server, node):
        hint = "give it a controller, or delete it; `--force` goes on, and it is gone"
        yield Problem(f"runs {pod}, which nothing makes anew", where=node, hint=hint)
