"""Tells who is a member of etcd, by what a control-plane node vouches for, or else by the roster; pure.

The description says who should be; only what exists says who is.
"""

from __future__ import annotations

from dataclasses import dataclass

from generator.cluster.matching import node_of
from generator.cluster.observed import Observed
from generator.plan.decide import Plan


@dataclass(frozen=True)
class Membership:
    """The members of etcd by their nodes' names; `is_told` says that a node vouches for it, not the roster alone."""

    voters: frozenset[str]
    learners: frozenset[str]
    is_told: bool

    @property
    def names(self) -> frozenset[str]:
        """Name voters and learners."""
        return self.voters | self.learners

    @property
    def quorum(self) -> int:
        """Tell how many voters have to be there."""
        return len(self.voters) // 2 + 1


def membership(plan: Plan, observed: Observed) -> Membership:
    """Tell who the members are: by the newest report of a droplet that is there, else all that the roster knows."""
    present = {droplet.id for droplet in observed.droplets}
    reports = [
        report
        for report in observed.reports.values()
        if report.is_vouched and report.progress.droplet in present and report.progress.etcd is not None
    ]
    for report in sorted(reports, key=lambda one: one.at, reverse=True):
        etcd = report.progress.etcd
        if etcd is not None and etcd.members:
            voters = frozenset(one.name for one in etcd.members if not one.learner and one.name)
            learners = frozenset(one.name for one in etcd.members if one.learner and one.name)
            return Membership(voters, learners, is_told=True)
    if observed.roster is not None:
        listed = frozenset(entry.name for entry in observed.roster.nodes if entry.role == "control-plane")
        return Membership(listed, frozenset(), is_told=False)
    return Membership(frozenset(node.name for node in plan.control_planes), frozenset(), is_told=False)


def machines(plan: Plan, observed: Observed, names: frozenset[str]) -> frozenset[str]:
    """Tell which of some nodes have a droplet, planned or not."""
    return frozenset(node for droplet in observed.droplets if (node := node_of(plan, droplet)) in names)
