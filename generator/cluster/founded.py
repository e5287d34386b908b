"""Compares the description with what a living cluster was made with, and what no rollout can change; pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

from generator.cluster.matching import node_of
from generator.cluster.observed import Observed
from generator.documents.roster import Roster, founding
from generator.errors import Problem
from generator.plan.decide import Plan

FACTS = {
    "vpc": ("network.vpc", "droplets don't change their VPC"),
    "nodes": ("network.nodes", "certificates, etcd's members and every route name these addresses"),
    "pods": ("network.pods", "pods that run have addresses of it, and Nodes keep their pod CIDR"),
    "services": ("network.services", "Services keep their addresses, and certificates name the API's"),
    "domain": ("the cluster's domain", "pods that run look names up in it, and tokens name their issuer by it"),
    "datapath": ("network.datapath", "nodes of two datapaths don't reach each other"),
}
"""Each fact of the founding, by the description's key for it, and why it stays."""


def contradictions(plan: Plan, observed: Observed, roster: Roster) -> Iterator[Problem]:
    """Say of each fact that differs what it was and is, and what would have to be done."""
    wanted, was = asdict(founding(plan)), asdict(roster.founding)
    for name, (key, reason) in FACTS.items():
        if wanted[name] != was[name]:
            message = f"{key} is {wanted[name]}, and the living cluster was founded with {was[name]}: {reason}"
            hint = f"write {was[name]} again; another value needs a new cluster beside it, and what runs moves there"
            yield Problem(message, where=plan.name, hint=hint)
    yield from _other_nodes(plan, observed, roster)


def _other_nodes(plan: Plan, observed: Observed, roster: Roster) -> Iterator[Problem]:
    """Find nodes that live with another role or place than planned."""
    there = {node_of(plan, droplet) for droplet in observed.droplets}
    known = {entry.name: entry for entry in roster.nodes if entry.name in there}
    for node in plan.nodes:
        entry = known.get(node.name)
        if entry is None:
            continue
        if entry.role != node.role:
            message = f"{node.name} is a {entry.role} node that lives, and is described as {node.role}"
            hint = "give the new pool another name: its nodes are made, and `gen rollout` removes the old ones"
            yield Problem(message, where=plan.name, hint=hint)
        place, was = (str(node.address), str(node.pod_cidr)), (entry.address, entry.pod_cidr)
        if entry.role == node.role and place != was:
            lives, planned = " with pods ".join(was), " with pods ".join(place)
            hint = "bring back the committed inventory: a node keeps its number for life"
            yield Problem(f"{node.name} lives at {lives}, and is planned at {planned}", where=plan.name, hint=hint)
