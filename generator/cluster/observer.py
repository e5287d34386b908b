"""Looks at everything a cluster has at the provider, in its bucket and in Kubernetes, once or again and again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from generator.clock import Clock
from generator.cluster import node_report
from generator.cluster.kinds.kind import Lookup
from generator.cluster.kinds.registry import KINDS
from generator.cluster.kube_api import Credentials, Kube
from generator.cluster.matching import placed, reported
from generator.cluster.memory import Memory
from generator.cluster.observed import Observed, Report
from generator.plan import names
from generator.plan.decide import Node, Plan
from generator.provider.digitalocean import Cloud
from generator.provider.resources import Droplet
from generator.provider.spaces import Spaces, Stored

ASK_ANYWAY = timedelta(minutes=2)
"""An API server whose node has said nothing for so long is asked itself."""


def read_reports(spaces: Spaces, cluster: str, objects: Sequence[Stored]) -> dict[str, Report]:
    """Read what the nodes say; what can't be read is left out."""
    reports = {}
    for stored in objects:
        node = names.status_node(cluster, stored.key)
        if node is None or stored.size > node_report.LIMIT_BYTES:
            continue
        body = spaces.get(stored.key, limit_bytes=node_report.LIMIT_BYTES)
        progress = node_report.read(body, node) if body is not None else None
        if progress is not None:
            reports[node] = Report(stored.modified, progress)
    return reports


class Observer:
    """Looks at one cluster.

    `memory` is what it knows better than the provider's lists; `address` is the public address at which an API
    server answered last, None before one did.
    """

    def __init__(
        self, plan: Plan, cloud: Cloud, spaces: Spaces, clock: Clock, credentials: Credentials, proxy: str | None
    ) -> None:
        self._plan = plan
        self._cloud = cloud
        self._spaces = spaces
        self._clock = clock
        self._credentials = credentials
        self._proxy = proxy
        self._servers: dict[str, Kube] = {}
        self.memory = Memory()
        self.address: str | None = None

    def look(self) -> Observed:
        """Look at everything."""
        objects = self._objects() if self._spaces.bucket_exists() else None
        return self._seen(Observed(self._clock.now()), objects, is_first=True)

    def again(self, before: Observed) -> Observed:
        """Look at what changes by itself: some kinds, what the nodes report, and Kubernetes."""
        return self._seen(replace(before, time=self._clock.now()), self._objects(), is_first=False)

    def _objects(self) -> tuple[Stored, ...]:
        return self._spaces.objects(names.prefix(self._plan.name))

    def _seen(self, observed: Observed, objects: Sequence[Stored] | None, *, is_first: bool) -> Observed:
        lookup = Lookup(self._plan, self._cloud, self._spaces, self.memory, observed.time, objects, is_first)
        for kind in KINDS:
            if is_first or kind.changes_by_itself:
                observed = observed.having(kind.found, kind.look(lookup))
        reports = read_reports(self._spaces, self._plan.name, objects or ())
        return self._with_kubernetes(replace(observed, reports=reports))

    def _with_kubernetes(self, observed: Observed) -> Observed:
        """Ask the control plane's droplets until one answers; the one that did last comes first."""
        here = placed(self._plan, observed)
        droplets = [(node, here[node.name]) for node in self._plan.control_planes if node.name in here]
        addresses = [one.public for node, one in droplets if one.public and _may_answer(node, one, observed)]
        found = sorted((one for one in addresses if one), key=lambda one: one != self.address)
        self.address = None
        for address in found:
            server = self._servers.setdefault(address, Kube(address, self._credentials, self._proxy))
            nodes = server.nodes() if server.ready() else None
            if nodes is not None:
                self.address = address
                return replace(observed, ready=nodes, applied=server.addons())
        return replace(observed, ready=None, applied=None)


def _may_answer(node: Node, droplet: Droplet, observed: Observed) -> bool:
    """Tell whether it is worth asking: not while the node itself says that its API server isn't up yet."""
    if reported(node, droplet, observed, "api"):
        return True
    report = observed.reports.get(node.name)
    heard = max(droplet.created, report.at) if report else droplet.created
    return observed.time - heard > ASK_ANYWAY
