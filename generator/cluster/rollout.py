"""Brings every node to what is described: what is missing first, then what left, then what was born otherwise.

The batches follow from what is there (pure); the rows are those of replacing, and of removing a node for good.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from typing import Literal

from generator.cluster import drain, marks, quorum
from generator.cluster.assembly import Assembly
from generator.cluster.departure import Departure, Terms, is_control_plane, lost_data, ready_nodes
from generator.cluster.drift import Drift
from generator.cluster.engine import Names, Row, Step
from generator.cluster.gate import Gate
from generator.cluster.replace import Replacement
from generator.cluster.site import Site
from generator.errors import Problem
from generator.plan.decide import Plan

FORGOTTEN = timedelta(minutes=2)

Verb = Literal["replace", "remove"]


@dataclass(frozen=True)
class Batch:
    """Nodes that are replaced or removed at once, and why."""

    verb: Verb
    nodes: Names
    why: str

    def __str__(self) -> str:
        """Show it as one line."""
        return f"{self.verb:<7} {', '.join(self.nodes)}  ({self.why})"


def batches(
    plan: Plan,
    drifts: Sequence[Drift],
    unfinished: Sequence[str] = (),
    leader: str | None = None,
    unready: Collection[str] = (),
) -> tuple[Batch, ...]:
    """Put what is to be done in order; pure.

    First replacements that an earlier run has begun, then nodes that left the description, then control-plane nodes,
    etcd's leader last, then workers, as many of a pool at once as it allows. What is not ready comes before what is:
    nobody else is touched while it ails.

    Args:
        unfinished: nodes whose replacement was begun.
        leader: etcd's, where it is known.
        unready: nodes that Kubernetes doesn't call ready.
    """
    by_name = {one.node: one for one in drifts}
    planned = {node.name: node for node in plan.nodes}
    found = [Batch("replace", (name,), "begun before") for name in unfinished if name in planned]
    gone = sorted({one.node for one in drifts if one.cause == "unplanned"})
    found += [Batch("remove", (name,), by_name[name].why) for name in gone]
    rest = [node for node in plan.nodes if node.name in by_name and node.name not in unfinished]
    voters = sorted(
        (node for node in rest if node.is_control_plane),
        key=lambda node: (node.name not in unready, node.name == leader),
    )
    found += [Batch("replace", (node.name,), by_name[node.name].why) for node in voters]
    workers = sorted((node for node in rest if not node.is_control_plane), key=lambda node: node.name not in unready)
    for _, pool in groupby(workers, key=lambda node: (node.name not in unready, node.pool)):
        nodes = list(pool)
        for start in range(0, len(nodes), nodes[0].max_unavailable):
            names = tuple(node.name for node in nodes[start : start + nodes[0].max_unavailable])
            found.append(Batch("replace", names, "; ".join(dict.fromkeys(by_name[name].why for name in names))))
    return tuple(sorted(found, key=lambda batch: not set(batch.nodes) & set(unready)))


class Rollout:
    """The steps of batches."""

    def __init__(self, terms: Terms, assembly: Assembly, gate: Gate) -> None:
        self._terms = terms
        self._assembly = assembly
        self._gate = gate
        self._replacement = Replacement(terms, assembly)
        self._departure = Departure(terms)
        self._allowed: set[str] = set()

    def steps(self, found: Sequence[Batch], *, lacks: bool) -> Iterator[tuple[Batch | None, tuple[Step, ...]]]:
        """Give the steps batch by batch; first what makes the missing and last the proof have no batch to their name.

        Args:
            lacks: whether a node has no droplet; only then all have to be up first: a rollout may be what mends them.
        """
        yield None, self._assembly.steps() if lacks or not found else self._assembly.steps()[:1]
        for batch in found:
            steps = self._replacement.steps(batch.nodes) if batch.verb == "replace" else self._removal(batch.nodes)
            yield batch, (self._gate.step(batch.nodes), *steps)
        if found:
            yield None, (self._gate.step(),)

    def _removal(self, nodes: Names) -> tuple[Step, ...]:
        first = Row("begin", "see that the others can do without it", self._allow, self._unasked, self._forbidden)
        last = Row("forget", "remove its Node and what it left", self._forget, self._known, patience=FORGOTTEN)
        rows = (first, *self._departure.rows, last)
        return (*(Step(row, nodes) for row in rows), *self._assembly.steps())

    def _allow(self, site: Site, nodes: Names) -> None:  # noqa: ARG002
        self._allowed |= set(nodes)

    def _unasked(self, site: Site, nodes: Names) -> str:  # noqa: ARG002
        unasked = [node for node in nodes if node not in self._allowed]
        return f"the others to do without {', '.join(unasked)}" if unasked else ""

    def _forbidden(self, site: Site, nodes: Names) -> Iterator[Problem]:
        yield from removal_objections(site, nodes, self._terms)

    def _forget(self, site: Site, nodes: Names) -> None:
        for node in nodes:
            drain.forget(site.server, node)
            marks.remove(site.server, node)

    def _known(self, site: Site, nodes: Names) -> str:
        known = [node for node in nodes if node in ready_nodes(site)]
        return f"the Node of {', '.join(known)} to go" if known else ""


def removal_objections(site: Site, nodes: Sequence[str], terms: Terms) -> Iterator[Problem]:
    """Find everything that speaks against removing some nodes now."""
    voting = [node for node in nodes if is_control_plane(site, node)]
    if voting:
        council = quorum.convene(site)
        left = [name for name in council.voters if name not in nodes]
        planned = {node.name for node in site.plan.control_planes}
        yield from quorum.objections(council, voting)
        if not planned <= set(left):
            missing = ", ".join(sorted(planned - set(left)))
            yield Problem(f"has to stay until {missing} votes", where=", ".join(voting), hint="`gen launch` makes it")
    for node in () if terms.force else nodes:
        yield from lost_data(site, node)
