"""Decides which droplet stands for which node, and what may be believed of it; pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from generator.cluster.observed import VPCS, Observed
from generator.plan import names
from generator.plan.decide import Plan
from generator.plan.node import Node
from generator.provider.resources import Droplet

FETCH = timedelta(minutes=2)
"""How long the fetching of a bundle may take once its address was opened in time."""
LONGEST = timedelta(hours=2)
"""How long a droplet may take at most to fetch its bundle: no address of one works longer."""
BUNDLE_KEPT = timedelta(days=1)
"""How long a bundle that nobody fetches stays at least; then the store deletes it, by a rule that counts in days."""
PLACEMENT = timedelta(minutes=10)
"""How long the provider may take until a droplet is active and has its addresses."""
AHEAD_SECONDS = 86_400
GRACE = timedelta(minutes=5)
"""How long Kubernetes may go on calling a node ready whose machine is gone; its own default is less than one."""


def node_of(plan: Plan, droplet: Droplet) -> str | None:
    """Give the name of the node that a droplet's tag says it is."""
    return names.tagged_node(plan.name, droplet.tags)


def placed(plan: Plan, observed: Observed) -> Mapping[str, Droplet]:
    """Give each planned node its droplet: the one that vouches for it, else the oldest; none that is lost."""
    return observed.once("placed", plan, lambda: _placed(plan, observed))


def _placed(plan: Plan, observed: Observed) -> Mapping[str, Droplet]:
    found: dict[str, Droplet] = {}
    by_node: dict[str | None, list[Droplet]] = {}
    for droplet in sorted(observed.droplets, key=lambda one: one.id):
        by_node.setdefault(node_of(plan, droplet), []).append(droplet)
    for node in plan.nodes:
        own = by_node.get(node.name, [])
        alive = [one for one in own if not is_lost(node, one, observed)]
        proven = [one for one in alive if reported(node, one, observed, "secrets")]
        if alive:
            found[node.name] = (proven or alive)[0]
    return found


def reported(node: Node, droplet: Droplet, observed: Observed, phase: str) -> bool:
    """Tell whether this very droplet vouches that a phase is done."""
    report = observed.reports.get(node.name)
    return report is not None and report.is_vouched and report.is_of(droplet) and report.progress.done(phase)


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
        up = members(plan, observed)
        if observed.roster.etcd.state == "restoring":
            # Its first member alone has all data; what was said before is of another etcd.
            return up > 0
        if observed.roster.etcd.state == "existing" or observed.ready is not None:
            return True
        reports = [observed.reports[node.name] for node in plan.control_planes if node.name in observed.reports]
        # Droplets that are gone since have voted too.
        ever = sum(report.is_vouched and report.progress.done("etcd") for report in reports)
        return max(up, ever) >= quorum(plan) or (up > 0 and observed.time > observed.roster.etcd.new_until)
    control_planes = {node.name for node in plan.control_planes}
    return any(node_of(plan, droplet) in control_planes for droplet in observed.droplets)


def is_lost(node: Node, droplet: Droplet, observed: Observed) -> bool:
    """Tell whether a droplet can never come up, by the provider and by one more witness."""
    return is_overdue(node, droplet, observed) and is_settled_by_others(node, observed)


def is_overdue(node: Node, droplet: Droplet, observed: Observed) -> bool:
    """Tell whether a droplet should have come up by now, and nothing shows that it has.

    The provider didn't place it in time, or its bundle is still there although no address of it can work any more: for
    a day a bundle leaves the bucket only when its node has it, so one that is gone proves nothing. Later it is deleted
    in any case, and the droplet's silence alone counts.
    """
    if reported(node, droplet, observed, "secrets") or ready(node, droplet, observed):
        return False
    if not droplet.settled and droplet.status in ("new", "active"):
        return observed.time > droplet.created + PLACEMENT
    expiries = [bundle.expires for bundle in observed.bundles if bundle.node == node.name]
    if not expiries:
        return observed.time > droplet.created + BUNDLE_KEPT
    # The bucket says when its addresses end, and may lie; what that could cost is nothing before there is data.
    ends = droplet.created + LONGEST
    return observed.time > (min(max(expiries), ends) if _is_founding(node, observed) else ends) + FETCH


def is_settled_by_others(node: Node, observed: Observed) -> bool:
    """Tell whether a droplet that its node's reports say nothing of may be deleted.

    Kubernetes has an answer and no report of that droplet in it, or there is no data yet that could be lost, or the
    operator has said it.
    """
    return observed.ready is not None or _is_founding(node, observed) or node.name in observed.given_up


def highest_generation(plan: Plan, observed: Observed) -> int:
    """Give the highest generation of the roster that the VPC's description or a control-plane node tells of.

    A generation is a time in seconds, so one of the future is a lie.
    """
    own = [one for one in observed.of(VPCS) if one.name == names.object_name(plan.name)]
    owners = [names.read_owner(one.description) for one in own]
    told = [owner.generation for owner in owners if owner and owner.cluster_id == plan.cluster_id]
    reports = [observed.reports[node.name] for node in plan.control_planes if node.name in observed.reports]
    told += [report.progress.generation for report in reports if report.is_vouched]
    return max((one for one in told if one <= int(observed.time.timestamp()) + AHEAD_SECONDS), default=0)


def _is_founding(node: Node, observed: Observed) -> bool:
    """Tell whether a node can't have any data yet: by the roster, and nobody knows better.

    Workers that are there while etcd is restored have theirs.
    """
    state = observed.roster.etcd.state if observed.roster is not None else ""
    is_new = state == "new" or (state == "restoring" and node.is_control_plane)
    formed = observed.once("formed", None, lambda: _is_formed(observed, state))
    return is_new and observed.ready is None and not formed


def _is_formed(observed: Observed, state: str) -> bool:
    told = [one for one in observed.reports.values() if one.is_vouched and one.progress.done("etcd")]
    present = {droplet.id for droplet in observed.droplets}
    # While it is restored, only those that are there since can have any; the data of those before is the snapshot's.
    return any(state == "new" or one.progress.droplet in present for one in told)
