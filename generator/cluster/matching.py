"""Decides which droplet stands for which node, and what may be believed of it; pure."""

from __future__ import annotations

from datetime import timedelta

from generator.cluster.observed import Observed
from generator.plan import names
from generator.plan.decide import Node, Plan
from generator.provider.resources import Droplet

FETCH = timedelta(minutes=2)
"""How long the fetching of a bundle may take once its address was opened in time."""
PLACEMENT = timedelta(minutes=10)
"""How long the provider may take until a droplet is active and has its addresses."""
GRACE = timedelta(minutes=5)
"""How long Kubernetes may go on calling a node ready whose machine is gone; its own default is less than one."""


def node_of(plan: Plan, droplet: Droplet) -> str | None:
    """Give the name of the node that a droplet's tag says it is."""
    return names.tagged_node(plan.name, droplet.tags)


def placed(plan: Plan, observed: Observed) -> dict[str, Droplet]:
    """Give each planned node its droplet: of several the oldest one, and none that can never come up."""
    found: dict[str, Droplet] = {}
    for node in plan.nodes:
        own = [one for one in observed.droplets if node_of(plan, one) == node.name]
        alive = [one for one in sorted(own, key=lambda one: one.id) if not _stillborn(node, one, observed)]
        if alive:
            found[node.name] = alive[0]
    return found


def reported(node: Node, droplet: Droplet, observed: Observed, phase: str) -> bool:
    """Tell whether this very droplet reported a phase as done; its predecessor's report doesn't count."""
    report = observed.reports.get(node.name)
    return report is not None and report.at >= droplet.created and report.progress.done(phase)


def ready(node: Node, droplet: Droplet, observed: Observed) -> bool:
    """Tell whether Kubernetes has the node and calls it ready, and can't mean the droplet's predecessor."""
    known = observed.ready is not None and observed.ready.get(node.name, False)
    return known and observed.time > droplet.created + GRACE


def members(plan: Plan, observed: Observed) -> int:
    """Count the control-plane nodes whose present droplet says that its etcd member is up."""
    here = placed(plan, observed)
    return sum(reported(node, here[node.name], observed, "etcd") for node in plan.control_planes if node.name in here)


def quorum(plan: Plan) -> int:
    """Tell how many members etcd needs."""
    return len(plan.control_planes) // 2 + 1


def existing(plan: Plan, observed: Observed) -> bool:
    """Tell whether etcd may only be joined.

    A roster that is gone is no reason to form a second cluster while any control-plane droplet is there, be it
    as dead as it looks.
    """
    if observed.roster is not None:
        if observed.roster.etcd.state == "existing" or observed.ready is not None:
            return True
        up = members(plan, observed)
        reports = [observed.reports[node.name] for node in plan.control_planes if node.name in observed.reports]
        ever = sum(report.progress.done("etcd") for report in reports)  # droplets that are gone since have voted too
        return max(up, ever) >= quorum(plan) or (up > 0 and observed.time > observed.roster.etcd.new_until)
    names = {node.name for node in plan.control_planes}
    return any(node_of(plan, droplet) in names for droplet in observed.droplets)


def _stillborn(node: Node, droplet: Droplet, observed: Observed) -> bool:
    """Tell whether a droplet can never come up.

    The provider didn't place it in time, or its bundle is still there although the address has expired: a bundle
    leaves the bucket only when its node has it, so one that is gone proves nothing.
    """
    if reported(node, droplet, observed, "secrets") or ready(node, droplet, observed):
        return False
    if not droplet.settled and droplet.status in ("new", "active"):
        return observed.time > droplet.created + PLACEMENT
    expiries = [bundle.expires for bundle in observed.bundles if bundle.node == node.name]
    return bool(expiries) and observed.time > max(expiries) + FETCH
