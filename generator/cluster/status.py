"""Tells how a cluster is, by the provider, the nodes' own reports and Kubernetes; changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from generator.clock import stamp
from generator.cluster import addresses, crowd
from generator.cluster.addon_state import AddonState
from generator.cluster.drift import drifted
from generator.cluster.kinds.kind import Action, Case
from generator.cluster.launchable import Documents
from generator.cluster.matching import placed
from generator.cluster.node_report import Etcd, Progress, VolumeUse
from generator.cluster.observed import VOLUMES, Bundle, Observed
from generator.cluster.phase_table import age, rows
from generator.cluster.readiness import has_addons, unwell
from generator.cluster.ways import Ways, faults
from generator.plan.decide import Plan
from generator.plan.inventory import Inventory
from generator.provider.resources import Volume

PARTIAL = timedelta(hours=24)
FULL_PERCENT = 95
MOST_NODES, AILING = 40, 20
"""Of more nodes, so many that are not up are shown one by one."""
OLD = timedelta(days=30)
"""A droplet as old has missed the image's monthly updates: no document changes with them."""


@dataclass(frozen=True)
class NodeStatus:
    """One node: its droplet, what Kubernetes says of it, and what it says itself.

    `heard` is when it last vouched for what it says, `born` when its droplet was made, from the image of that day.
    """

    node: str
    role: str
    droplet: int | None
    public: str | None
    private: str | None
    kubernetes: str
    phase: str
    heard: str | None
    born: str | None = None
    age: str | None = None


@dataclass(frozen=True)
class ClusterStatus:
    """One cluster; `expiry` is the certificate that ends first, `pending` what a launch would do, `notes` what not.

    `drift` says what lives otherwise than described, `unwell` which nodes are not ready while their droplets live.
    `kubeconfig` is when the token of the kubeconfig of every day ends; `addons` tells whether Kubernetes has the
    rendered ones; `members` are the voters of etcd by the latest report of a control-plane node, `alarms` what that
    says is wrong with etcd; `bundles` are the sealed ones that lie in the bucket; `volumes` are in words, and
    so is what is `kept` outside of the nodes, and what nodes that run say is wrong with the `paths` from their pods;
    `own_addons` are those of the user's own; `etcd_mib` is how large etcd's data is, and how large it may be.
    """

    name: str
    nodes: tuple[NodeStatus, ...]
    api: str | None
    roster_generation: int | None
    etcd: str | None
    members: tuple[str, ...]
    alarms: tuple[str, ...]
    expiry: tuple[str, str] | None
    kubeconfig: str | None
    pending: tuple[str, ...]
    addons: bool
    drift: tuple[str, ...] = ()
    unwell: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    bundles: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    etcd_mib: tuple[int, int] | None = None
    kept: tuple[str, ...] = ()
    own_addons: tuple[AddonState, ...] = ()
    paths: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """Tell whether every node is ready and as described, the addons are applied, and nothing is to be done."""
        is_done = not self.pending and not self.drift and all(one.is_well for one in self.own_addons)
        return is_done and self.addons and all(node.kubernetes == "ready" for node in self.nodes)


def condensed(nodes: Sequence[NodeStatus]) -> tuple[NodeStatus, ...]:
    """Show many nodes in few rows: those that are not up first, then a row for all that are alike."""
    if len(nodes) <= MOST_NODES:
        return tuple(nodes)
    ailing = [one for one in nodes if (one.kubernetes, one.phase) != ("ready", "done")][:AILING]
    others = [one for one in nodes if one not in ailing]
    groups = crowd.alike(others, lambda one: (one.role, one.kubernetes, one.phase))
    if len(groups) > crowd.LINES:
        others = [replace(one, phase="at many phases") for one in others]
        groups = crowd.alike(others, lambda one: (one.role, one.kubernetes))
    found = []
    for same in groups:
        heard = min((one.heard for one in same if one.heard), default=None)
        nobody = replace(same[0], droplet=None, public=None, private=None, born=None, age=None)
        merged = replace(nobody, node=crowd.named([one.node for one in same]), heard=heard)
        found.append(same[0] if len(same) == 1 else merged)
    return (*ailing, *found)


def assess(
    plan: Plan,
    inventory: Inventory | None,
    documents: Documents,
    observed: Observed,
    actions: Sequence[Action],
    api: str | None,
    kubeconfig: str | None,
    kept: tuple[str, ...] = (),
) -> ClusterStatus:
    """Put together what was seen."""
    here = placed(plan, observed)
    words = {row.node: row.now for row in rows(plan, observed)}
    at = addresses.public(plan, observed)
    nodes = []
    for node in plan.nodes:
        droplet = here.get(node.name)
        nodes.append(
            NodeStatus(
                node=node.name,
                role=node.role,
                droplet=droplet.id if droplet else None,
                public=at.get(node.name) if droplet else None,
                private=droplet.private if droplet else None,
                kubernetes=_kubernetes(node.name, observed.ready),
                phase=words[node.name],
                heard=_heard(node.name, observed),
                born=stamp(droplet.created) if droplet else None,
                age=age(droplet.created, observed.time) if droplet else None,
            )
        )
    etcd = _etcd(plan, observed)
    drifts = drifted(plan, documents, observed)
    drifting = {one.node for one in drifts}
    return ClusterStatus(
        name=plan.name,
        nodes=tuple(nodes),
        api=f"https://{api}:{plan.api_port}" if api else None,
        roster_generation=observed.roster.generation if observed.roster else None,
        etcd=observed.roster.etcd.state if observed.roster else None,
        members=tuple(one.name for one in etcd.members if not one.learner) if etcd else (),
        alarms=(*etcd.alarms, *filter(None, [etcd.trouble])) if etcd else (),
        expiry=_first_expiry(inventory),
        kubeconfig=kubeconfig,
        pending=tuple(_pending(action) for action in actions if action.changes or action.verb == "refuse"),
        addons=has_addons(documents, observed),
        drift=tuple(f"{one.node} {one.why}" for one in drifts),
        unwell=tuple(words for lines in unwell(Case(plan, documents, observed)).values() for words in lines),
        notes=tuple(f"{one.where} {one.why}" for one in actions if one.verb == "keep" and one.name not in drifting),
        bundles=tuple(_left(one, observed.time) for one in observed.bundles),
        volumes=tuple(_volume(plan, one, observed) for one in observed.of(VOLUMES)),
        etcd_mib=(etcd.mib, etcd.most_mib) if etcd and etcd.most_mib else None,
        kept=kept,
        own_addons=observed.addons,
        paths=tuple(faults(reported(plan, observed))),
    )


def reported(plan: Plan, observed: Observed) -> Mapping[str, Ways]:
    """Give what the nodes that run have reported of their paths."""
    told = {name: one.paths for name, one in _reports(plan, observed) if one.complete}
    return {name: ways for name, ways in told.items() if ways is not None}


def _volume(plan: Plan, volume: Volume, observed: Observed) -> str:
    """Say where a volume is, and how full by its node's word."""
    holder = next((one.name for one in observed.droplets if one.id == volume.droplet), None)
    where = holder or (f"droplet {volume.droplet}, no node" if volume.droplet else "nothing")
    names = {(node.name, one.name): one.full_name for node in plan.nodes for one in node.volumes}
    told = [use.percent for node, use in _uses(plan, observed) if names.get((node, use.name)) == volume.name]
    return f"{volume.name}, {volume.size} GiB, at {where}" + "".join(f", {percent} % full" for percent in told)


def _reports(plan: Plan, observed: Observed) -> Iterator[tuple[str, Progress]]:
    """Give what the nodes that are there vouch for."""
    for name, droplet in placed(plan, observed).items():
        report = observed.reports.get(name)
        if report is not None and report.is_vouched and report.is_of(droplet):
            yield name, report.progress


def _uses(plan: Plan, observed: Observed) -> Iterator[tuple[str, VolumeUse]]:
    for name, progress in _reports(plan, observed):
        yield from ((name, use) for use in progress.volumes)


def warnings(plan: Plan, observed: Observed, status: ClusterStatus) -> tuple[str, ...]:
    """Say which volumes take nothing, what fails beside the phases, what costs money for nothing, and what is old."""
    return (*_volumes(plan, observed), *_failing(plan, observed), *_aged(plan, observed, status))


def _volumes(plan: Plan, observed: Observed) -> Iterator[str]:
    for node, use in _uses(plan, observed):
        if use.trouble:
            yield f"volume {use.name} of {node} is {use.trouble}"
        elif use.percent >= FULL_PERCENT:
            yield f"volume {use.name} of {node} is {use.percent} % full"


def _failing(plan: Plan, observed: Observed) -> Iterator[str]:
    for node, progress in _reports(plan, observed):
        if progress.complete and progress.failure:
            lines = progress.failure.lines
            # What the step itself says, beside what systemd says of it.
            own = next((line for line in reversed(lines) if line.startswith("hardway ")), " ".join(lines[-1:]))
            yield f"unit {progress.failure.unit} of {node} fails: {own}"


def _aged(plan: Plan, observed: Observed, status: ClusterStatus) -> tuple[str, ...]:
    if not observed.droplets:
        return ()
    oldest, count = min(droplet.created for droplet in observed.droplets), len(observed.droplets)
    is_unfinished = status.etcd != "existing" or (status.api is not None and observed.applied is None)
    if is_unfinished and not status.whole and observed.time - oldest >= PARTIAL:
        since = f"since {oldest:%Y-%m-%d}"
        return (f"{count} droplets of an unfinished launch run {since}: launch again or destroy {plan.name}",)
    old = [name for name, droplet in placed(plan, observed).items() if observed.time - droplet.created >= OLD]
    if not old:
        return ()
    which = f"of {', '.join(old[:3])}" + (f" and {len(old) - 3} more" if len(old) > 3 else "")
    return (
        f"the droplets {which} are older than {OLD.days} days, and the image isn't pinned: recreate them, one at a"
        " time, to have its security updates",
    )


def _pending(action: Action) -> str:
    return f"{action}; {action.hint}" if action.hint else str(action)


def _left(bundle: Bundle, now: datetime) -> str:
    whose = f"of {bundle.node}" if bundle.node else f"of nobody, {bundle.key}"
    ends = f"expired {age(bundle.expires, now)} ago" if bundle.expires < now else f"works until {stamp(bundle.expires)}"
    return f"{whose}, {age(bundle.modified, now)} old, its address {ends}"


def _heard(node: str, observed: Observed) -> str | None:
    report = observed.reports.get(node)
    return stamp(report.at) if report and report.is_vouched else None


def _etcd(plan: Plan, observed: Observed) -> Etcd | None:
    """Give what the control-plane node that spoke last sees of etcd."""
    reports = [observed.reports[node.name] for node in plan.control_planes if node.name in observed.reports]
    vouched = [report for report in reports if report.is_vouched and report.progress.etcd]
    return max(vouched, key=lambda report: report.at).progress.etcd if vouched else None


def _kubernetes(node: str, ready: Mapping[str, bool] | None) -> str:
    if ready is None:
        return "no answer"
    return {None: "unknown", True: "ready", False: "not ready"}[ready.get(node)]


def _first_expiry(inventory: Inventory | None) -> tuple[str, str] | None:
    rows_ = [(fact.expires, fact.path) for fact in inventory.keys if fact.expires] if inventory else []
    return min(rows_, default=None)
