"""Finds what lives otherwise than it is described, so that only recreating or removing the droplet helps; pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from generator.cluster.launchable import Documents
from generator.cluster.matching import node_of, placed
from generator.cluster.observed import Observed
from generator.plan.decide import Plan
from generator.plan.node import Node
from generator.provider.resources import Droplet

Cause = Literal["document", "size", "image", "unplanned"]


@dataclass(frozen=True)
class Drift:
    """A node whose droplet is other than described; `why` says it in words that follow the node's name.

    `cause` is `unplanned` where the node left the description, `image` where its droplet is older than wished; a node
    that left and has no droplet any more has number 0 there.
    """

    node: str
    role: str
    pool: str
    droplet: int
    cause: Cause
    why: str


def drifted(
    plan: Plan, documents: Documents, observed: Observed, *, older_than: timedelta | None = None
) -> tuple[Drift, ...]:
    """List them: planned nodes in the plan's order, then those that are not planned any more, by name.

    Args:
        older_than: the age from which a droplet counts as made from an old image.
    """
    here = placed(plan, observed)
    found = []
    for node in plan.nodes:
        if node.name in here:
            droplet = here[node.name]
            causes = list(_causes(plan, documents, observed, node, droplet, older_than))
            if causes:
                why = ", ".join(words for _, words in causes)
                found.append(Drift(node.name, node.role, node.pool, droplet.id, causes[0][0], why))
    return (*found, *_unplanned(plan, observed))


def _causes(
    plan: Plan, documents: Documents, observed: Observed, node: Node, droplet: Droplet, older_than: timedelta | None
) -> Iterator[tuple[Cause, str]]:
    if plan.document_tag(documents.nodes[node.name]) not in droplet.tags:
        yield "document", "was born with another document"
    if droplet.size != node.size:
        yield "size", f"has size {droplet.size}, not {node.size}"
    if older_than is not None and observed.time - droplet.created >= older_than:
        yield "image", f"is of {droplet.created:%Y-%m-%d}, and so is its image"


def _unplanned(plan: Plan, observed: Observed) -> Iterator[Drift]:
    planned = {node.name for node in plan.nodes}
    roles = {entry.name: entry.role for entry in observed.roster.nodes} if observed.roster else {}
    there = {(name, one.id) for one in observed.droplets if (name := node_of(plan, one)) is not None}
    for name, droplet in sorted(there):
        if name not in planned:
            yield Drift(name, roles.get(name, ""), "", droplet, "unplanned", "is no longer planned")
    for name in sorted(roles.keys() - planned - {name for name, _ in there}):
        yield Drift(name, roles[name], "", 0, "unplanned", "is no longer planned, and may be a member of etcd still")
