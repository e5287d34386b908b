"""Sees between two steps that a cluster is well: Nodes, etcd, the API through each balancer, addons, each ingress."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta

from generator.cluster import front_door, quorum
from generator.cluster.departure import ready_nodes
from generator.cluster.engine import Names, Row, Step, wait_only
from generator.cluster.kube_objects import Workload, listed
from generator.cluster.leases import unrenewed
from generator.cluster.site import Site
from generator.documents import addons
from generator.plan.decide import Plan

PATIENCE = timedelta(minutes=5)
"""How long what a step moved may take to be up again."""
LISTS: Mapping[str, str] = {
    "StatefulSet": "/apis/apps/v1/statefulsets",
    "Deployment": "/apis/apps/v1/deployments",
    "DaemonSet": "/apis/apps/v1/daemonsets",
}
PAGE = "/ob"
HINT = "`kubectl get pods -A` shows what does not come up; run it again once that is mended"


class Gate:
    """What has to hold before a rollout goes on; `say` hears once what can't be asked from here."""

    def __init__(self, plan: Plan, say: Callable[[str], None]) -> None:
        self._workloads = addons.workloads(addons.manifests(plan))
        self._say = say
        self._is_reached: bool | None = None

    def step(self, spared: Names = ()) -> Step:
        """Give the step; `spared` are the nodes that come next: what ails of them is no reason not to mend them."""
        leases: dict[str, str] = {}

        def ailing(site: Site, nodes: Names) -> str:  # noqa: ARG001
            return self._ailing(site, spared, leases)

        return Step(Row("gate", "see that all is well", wait_only, ailing, patience=PATIENCE, hint=HINT))

    def _ailing(self, site: Site, spared: Names, leases: dict[str, str]) -> str:
        """Tell what is not well, what is quickly asked first."""
        ready = ready_nodes(site)
        watched = [node.name for node in site.plan.nodes if node.name not in spared]
        found = [f"{name} to be Ready" for name in watched if not ready.get(name, False)]
        if found or not all(ready.get(name, False) for name in spared if name in ready):
            return ", ".join(found)  # with a node that ails, addons may ail as well
        silent = unrenewed(site.server, watched, leases)
        found += [f"{node} to reach the API through its balancer" for node in silent]
        if found:
            return ", ".join(found)
        council = quorum.convene(site)
        found += [f"{name} to vote" for name in council.voters if name not in council.healthy and name in watched]
        found += [f"the API server of {one.where}" for one in quorum.unanswering(site)]
        found += self._lacking(site)
        found += self._closed(site, watched)
        return ", ".join(found)

    def _lacking(self, site: Site) -> Iterator[str]:
        """Name the workloads of addons that lack pods."""
        for kind, path in LISTS.items():
            wanted = [(namespace, name) for one, namespace, name in self._workloads if one == kind]
            there = {(w.metadata.namespace, w.metadata.name): w for w in listed(site.server, Workload, path)}
            for namespace, name in wanted:
                lacks = there[namespace, name].lacks if (namespace, name) in there else "is not there"
                if lacks:
                    yield f"{namespace}/{name} ({lacks})"

    def _closed(self, site: Site, nodes: list[str]) -> Iterator[str]:
        """Name the nodes whose ingress does not serve the order book; where none can be reached, that is said."""
        plan, proxy = site.plan, site.connection.proxy
        if not {"ingress", "order-book"} <= set(plan.addons):
            return
        serving = [node.name for node in plan.nodes if node.schedulable and node.name in nodes]
        here = {name: site.case.here[name].public for name in serving if name in site.case.here}
        answers = {
            name: front_door.status(address, plan.order_book_host, PAGE, front_door.trusted(plan), proxy)
            for name, address in here.items()
            if address
        }
        if not any(answers.values()) and not self._is_reached:
            if self._is_reached is None:
                self._say("note: no node's port 443 answers here, so the order book is not asked between the steps")
            self._is_reached = False
            return
        self._is_reached = True
        for name, status in answers.items():
            if status != 200:
                said = f"answer {status}" if status else "no answer"
                yield f"the order book through {name} ({said})"
