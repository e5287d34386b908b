"""The objects of Kubernetes that moving pods has to do with, as far as they are read; what is missing is nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import quote

from pydantic import BaseModel, ValidationError

from generator.cluster.kube_api import Kube, NotYet, read_json
from generator.plain_text import harmless

T = TypeVar("T", bound=BaseModel)

PAGE = 500
MOST_PAGES = 200
MIRROR = "kubernetes.io/config.mirror"
"""The annotation of a pod that a kubelet runs from a file of its own."""


class Owner(BaseModel):
    """Who made an object."""

    kind: str
    name: str
    controller: bool | None = None


class Metadata(BaseModel):
    """What an object is called."""

    name: str
    namespace: str | None = None
    generation: int | None = None
    annotations: dict[str, str] | None = None
    ownerReferences: list[Owner] | None = None  # noqa: N815
    deletionTimestamp: str | None = None  # noqa: N815


class ClaimSource(BaseModel):
    """A volume that a claim gives."""

    claimName: str  # noqa: N815


class Volume(BaseModel):
    """A volume of a pod."""

    name: str
    emptyDir: dict[str, Any] | None = None  # noqa: N815
    persistentVolumeClaim: ClaimSource | None = None  # noqa: N815


class PodSpec(BaseModel):
    """What a pod is."""

    nodeName: str | None = None  # noqa: N815
    volumes: list[Volume] | None = None


class Condition(BaseModel):
    """What is said of an object."""

    type: str
    status: str


class PodStatus(BaseModel):
    """How a pod is."""

    phase: str | None = None
    conditions: list[Condition] | None = None


class Pod(BaseModel):
    """A pod."""

    metadata: Metadata
    spec: PodSpec
    status: PodStatus | None = None

    def __str__(self) -> str:
        """Name it."""
        return harmless(f"{self.metadata.namespace}/{self.metadata.name}")

    @property
    def path(self) -> str:
        """Give its place in the API."""
        return f"/api/v1/namespaces/{quote(self.metadata.namespace or '')}/pods/{quote(self.metadata.name)}"

    @property
    def claims(self) -> tuple[tuple[str, str], ...]:
        """Give the claims that it uses, by namespace and name."""
        sources = [volume.persistentVolumeClaim for volume in self.spec.volumes or ()]
        return tuple((self.metadata.namespace or "", one.claimName) for one in sources if one is not None)

    @property
    def controller(self) -> Owner | None:
        """Give what makes it anew, if anything does."""
        return next((one for one in self.metadata.ownerReferences or () if one.controller), None)

    @property
    def stays(self) -> bool:
        """Tell whether it belongs to its node: a daemon's, or one that the kubelet runs of itself."""
        is_mirror = MIRROR in (self.metadata.annotations or {})
        return is_mirror or (self.controller is not None and self.controller.kind == "DaemonSet")

    @property
    def is_over(self) -> bool:
        """Tell whether it has ended for good."""
        return self.status is not None and self.status.phase in ("Succeeded", "Failed")

    @property
    def is_ready(self) -> bool:
        """Tell whether it serves."""
        conditions = (self.status.conditions if self.status else None) or ()
        return any((one.type, one.status) == ("Ready", "True") for one in conditions)


class DaemonStatus(BaseModel):
    """How many pods a DaemonSet should have, and how many are ready."""

    desiredNumberScheduled: int | None = None  # noqa: N815
    numberReady: int | None = None  # noqa: N815


class DaemonSet(BaseModel):
    """A DaemonSet."""

    metadata: Metadata
    status: DaemonStatus | None = None


class WorkloadSpec(BaseModel):
    """How many pods a Deployment or StatefulSet should have; one where it isn't said."""

    replicas: int | None = None


class WorkloadStatus(BaseModel):
    """How many pods a workload has; which of the fields there are depends on its kind."""

    observedGeneration: int | None = None  # noqa: N815
    availableReplicas: int | None = None  # noqa: N815
    updatedReplicas: int | None = None  # noqa: N815
    desiredNumberScheduled: int | None = None  # noqa: N815
    numberAvailable: int | None = None  # noqa: N815
    updatedNumberScheduled: int | None = None  # noqa: N815


class Workload(BaseModel):
    """A Deployment, a StatefulSet or a DaemonSet."""

    metadata: Metadata
    spec: WorkloadSpec | None = None
    status: WorkloadStatus | None = None

    @property
    def lacks(self) -> str:
        """Tell how many of its pods are there, where that is not all of them, in the newest form."""
        spec, status = self.spec or WorkloadSpec(), self.status or WorkloadStatus()
        if (status.observedGeneration or 0) < (self.metadata.generation or 0):
            return "not yet looked at"
        replicas = 1 if spec.replicas is None else spec.replicas
        wanted = replicas if status.desiredNumberScheduled is None else status.desiredNumberScheduled
        is_daemon = status.desiredNumberScheduled is not None
        there = (status.numberAvailable if is_daemon else status.availableReplicas) or 0
        newest = (status.updatedNumberScheduled if is_daemon else status.updatedReplicas) or 0
        if there < wanted:
            return f"{there} of {wanted} available"
        return f"{newest} of {wanted} of the newest form" if newest < wanted else ""


class LeaseSpec(BaseModel):
    """When a lease was renewed."""

    renewTime: str | None = None  # noqa: N815


class Lease(BaseModel):
    """A lease; a kubelet renews the one that bears its node's name."""

    metadata: Metadata
    spec: LeaseSpec | None = None


class BudgetStatus(BaseModel):
    """What a budget allows now."""

    disruptionsAllowed: int | None = None  # noqa: N815
    currentHealthy: int | None = None  # noqa: N815
    desiredHealthy: int | None = None  # noqa: N815
    expectedPods: int | None = None  # noqa: N815


class Budget(BaseModel):
    """A PodDisruptionBudget."""

    metadata: Metadata
    status: BudgetStatus | None = None


class NodeSpec(BaseModel):
    """Whether a node takes pods."""

    unschedulable: bool | None = None


class Node(BaseModel):
    """A Node."""

    metadata: Metadata
    spec: NodeSpec | None = None


class ConfigMap(BaseModel):
    """A ConfigMap."""

    metadata: Metadata
    data: dict[str, str] | None = None


class Expression(BaseModel):
    """What a label of a node has to be."""

    key: str
    operator: str
    values: list[str] | None = None


class Term(BaseModel):
    """Several of them, all of which hold."""

    matchExpressions: list[Expression] | None = None  # noqa: N815


class Selector(BaseModel):
    """Terms of which one holds."""

    nodeSelectorTerms: list[Term] | None = None  # noqa: N815


class Affinity(BaseModel):
    """Where a volume can be used."""

    required: Selector | None = None


class Reference(BaseModel):
    """A claim, named by its volume."""

    namespace: str | None = None
    name: str


class VolumeSpec(BaseModel):
    """What a PersistentVolume is, and who may use it."""

    capacity: dict[str, Any] | None = None
    claimRef: Reference | None = None  # noqa: N815
    nodeAffinity: Affinity | None = None  # noqa: N815
    local: dict[str, Any] | None = None
    hostPath: dict[str, Any] | None = None  # noqa: N815


class PersistentVolume(BaseModel):
    """A PersistentVolume."""

    metadata: Metadata
    spec: VolumeSpec


class Items(BaseModel):
    """One page of a list."""

    items: list[dict[str, Any]] | None = None
    metadata: dict[str, Any] | None = None


def listed(server: Kube, model: type[T], path: str, query: str = "") -> Iterator[T]:
    """List objects page by page; one that can't be read is left out.

    Raises:
        NotYet: the API server does not list them.
    """
    more = ""
    for _ in range(MOST_PAGES):
        status, body = server.request("GET", f"{path}?limit={PAGE}{query}{more}")
        page = read_json(Items, body) if status == HTTPStatus.OK else None
        if page is None:
            raise NotYet(f"the API server does not list {path.rpartition('/')[2]}", where=server.address)
        for item in page.items or ():
            found = _read(model, item)
            if found is not None:
                yield found
        token = (page.metadata or {}).get("continue")
        if not token:
            return
        more = f"&continue={quote(str(token))}"
    raise NotYet(f"there are more than {MOST_PAGES * PAGE} {path.rpartition('/')[2]}", where=server.address)


def found(server: Kube, model: type[T], path: str) -> T | None:
    """Give one object, None where there is none.

    Raises:
        NotYet: the API server does not say.
    """
    status, body = server.request("GET", path)
    if status == HTTPStatus.NOT_FOUND:
        return None
    answer = read_json(model, body) if status == HTTPStatus.OK else None
    if answer is None:
        raise NotYet(f"the API server does not give {path.rpartition('/')[2]}", where=server.address)
    return answer


def pods_on(server: Kube, node: str) -> tuple[Pod, ...]:
    """List the pods that are bound to a node.

    Raises:
        NotYet: see `listed`.
    """
    query = f"&fieldSelector={quote(f'spec.nodeName={node}')}"
    return tuple(listed(server, Pod, "/api/v1/pods", query))


def changed(server: Kube, path: str, body: Mapping[str, Any]) -> bool:
    """Change an object by a merge patch; False where there is none.

    Raises:
        NotYet: the API server does not take it.
    """
    status, _ = server.request("PATCH", path, body, kind="application/merge-patch+json")
    if status not in (HTTPStatus.OK, HTTPStatus.NOT_FOUND):
        raise NotYet(f"the API server does not change {path.rpartition('/')[2]}", where=server.address)
    return status == HTTPStatus.OK


def _read(model: type[T], item: Mapping[str, Any]) -> T | None:
    try:
        return model.model_validate(item)
    except ValidationError:
        return None
