"""Looks at everything a cluster has at the provider, in its bucket and in Kubernetes, once or again and again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial

from generator.clock import Clock
from generator.cluster import addon_state, node_report
from generator.cluster.kinds.kind import Lookup
from generator.cluster.kinds.registry import KINDS
from generator.cluster.kube_api import Credentials, Kube, KubeNode
from generator.cluster.matching import highest_generation, placed, reported
from generator.cluster.memory import Memory
from generator.cluster.observed import Observed, Report
from generator.plan import names
from generator.plan.decide import Plan
from generator.plan.node import Node
from generator.provider.digitalocean import Cloud
from generator.provider.resources import Droplet
from generator.provider.spaces import Spaces, Stored

ASK_ANYWAY = timedelta(minutes=2)
"""An API server whose node has said nothing for so long is asked itself."""


class Observer:
    """Looks at one cluster.

    `memory` is what it knows better than the provider's lists; `server` is the API server that answered last, None
    where none did. Those of nodes that are `leaving` are asked last.
    """

    def __init__(
        self,
        plan: Plan,
        cloud: Cloud,
        spaces: Spaces,
        clock: Clock,
        credentials: Credentials,
        proxy: str | None,
        *,
        report_keys: Mapping[str, bytes],
        given_up: frozenset[str] = frozenset(),
    ) -> None:
        self._plan = plan
        self._report_keys = report_keys
        self._given_up = given_up
        self._cloud = cloud
        self._spaces = spaces
        self._clock = clock
        self._credentials = credentials
        self._proxy = proxy
        self._servers: dict[str, Kube] = {}
        self.memory = Memory()
        self.server: Kube | None = None
        self.leaving: frozenset[str] = frozenset()

    @property
    def address(self) -> str | None:
        """Give the public address at which an API server answered last."""
        return self.server.address if self.server else None

    def look(self) -> Observed:
        """Look at everything."""
        objects = self._objects() if self._spaces.bucket_exists() else None
        return self._seen(Observed(self._clock.now(), given_up=self._given_up), objects, is_first=True)

    def again(self, before: Observed) -> Observed:
        """Look at what changes by itself: some kinds, what the nodes report, and Kubernetes."""
        return self._seen(replace(before, time=self._clock.now()), self._objects(), is_first=False)

    def _objects(self) -> tuple[Stored, ...]:
        return self._spaces.objects(names.prefix(self._plan.name))

    def _seen(self, observed: Observed, objects: Sequence[Stored] | None, *, is_first: bool) -> Observed:
        lookup = Lookup(self._plan, self._cloud, self._spaces, self.memory, observed.time, objects, is_first)
        self.memory.forget(objects or ())
        for kind in KINDS:
            if is_first or kind.changes_by_itself(self._plan, observed):
                observed = observed.having(kind.found, kind.look(lookup))
        observed = self._with_kubernetes(replace(observed, reports=self._stored_reports(objects or ())))
        return replace(observed, seen=highest_generation(self._plan, observed))

    def _stored_reports(self, objects: Sequence[Stored]) -> dict[str, Report]:
        """Read what nodes have put into the bucket; what can't be read is left out."""
        reports = {}
        for stored in objects:
            node = names.status_node(self._plan.name, stored.key)
            if node is None or stored.size > node_report.LIMIT_BYTES:
                continue
            report = self.memory.once(stored, partial(self._stored_report, node, stored))
            if report is not None:
                reports[node] = report
        return reports

    def _stored_report(self, node: str, stored: Stored) -> Report | None:
        body = self._spaces.get(stored.key, limit_bytes=node_report.LIMIT_BYTES)
        report = self._read(node, body) if body is not None else None
        return report if report is None or report.is_vouched else replace(report, at=stored.modified)

    def _read(self, node: str, text: bytes | str) -> Report | None:
        found = node_report.read(text, node, self._plan.cluster_id, self._report_keys.get(node))
        return Report(found[1], found[0], found[2]) if found else None

    def _with_kubernetes(self, observed: Observed) -> Observed:
        """Ask the control plane's droplets until one answers; the one that did last comes first."""
        here = placed(self._plan, observed)
        droplets = [(node, here[node.name]) for node in self._plan.control_planes if node.name in here]
        addresses = {one.public: node.name for node, one in droplets if one.public and _may_answer(node, one, observed)}
        found = sorted(addresses, key=lambda one: (addresses[one] in self.leaving, one != self.address))
        self.server = None
        for address in found:
            server = self._servers.setdefault(address, Kube(address, self._credentials, self._proxy))
            nodes = server.nodes() if server.ready() else None
            if nodes is not None:
                self.server = server
                ready = {name: node.is_ready for name, node in nodes.items()}
                reports = self._with_kubernetes_reports(observed.reports, nodes)
                addons, secrets, states = server.addons()
                observed = replace(observed, ready=ready, applied=addons, applied_secrets=secrets, reports=reports)
                return replace(observed, addons=addon_state.read(states))
        return replace(observed, ready=None, applied=None, applied_secrets="", addons=())

    def _with_kubernetes_reports(
        self, stored: Mapping[str, Report], nodes: Mapping[str, KubeNode]
    ) -> Mapping[str, Report]:
        """Add what nodes have left at their Nodes; of two that are vouched for the later one counts."""
        reports = dict(stored)
        for name, node in nodes.items():
            report = self._read(name, node.report) if node.report is not None else None
            before = stored.get(name)
            if report is None or not report.is_vouched:
                continue
            if before is None or not before.is_vouched or before.at <= report.at:
                reports[name] = report
        return reports


def _may_answer(node: Node, droplet: Droplet, observed: Observed) -> bool:
    """Tell whether it is worth asking: not while the node itself says that its API server isn't up yet."""
    if reported(node, droplet, observed, "api"):
        return True
    report = observed.reports.get(node.name)
    heard = max(droplet.created, report.at) if report else droplet.created
    return observed.time - heard > ASK_ANYWAY
