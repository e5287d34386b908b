"""Replaces nodes: each leaves, is made anew with the same identity, and comes back with a proof."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

from generator.cluster import drain, marks, quorum
from generator.cluster.assembly import Assembly
from generator.cluster.departure import Departure, Terms, is_control_plane, lost_data, others_unready
from generator.cluster.engine import Names, Row, Step, wait_only
from generator.cluster.marks import Mark
from generator.cluster.matching import reported
from generator.cluster.site import Site
from generator.errors import Problem, raise_all

BACK = timedelta(minutes=10)
"""How long a node that serves again may take to vote, and to have its daemons."""


class Replacement:
    """The rows by which nodes are replaced, several at once where they are workers."""

    def __init__(self, terms: Terms, assembly: Assembly) -> None:
        self._terms = terms
        self._assembly = assembly
        self._departure = Departure(terms)

    def steps(self, nodes: Names) -> tuple[Step, ...]:
        """Give the steps for some nodes."""
        first = Row("begin", "see that the others can do without it", self._begin, self._unmarked, self._forbidden)
        last = (
            Row(
                "rejoin",
                "prove that it is back: Ready in its own boot, voting, serving",
                wait_only,
                self._away,
                patience=BACK,
            ),
            Row("uncordon", "let pods come again", self._uncordon, self._cordoned),
            Row("close", "take the mark away", self._close, self._marked),
        )
        rows = (first, *self._departure.rows)
        # What is at home there serves again while the rest comes up.
        return (
            *(Step(row, nodes) for row in rows),
            *self._assembly.steps(nodes, self._open),
            *(Step(row, nodes) for row in last),
        )

    def _begin(self, site: Site, nodes: Names) -> None:
        for node in nodes:
            droplet = site.case.here.get(node)
            marks.write(site.server, Mark(node, droplet.id if droplet else 0, site.clock.now()))
        self._read(site, nodes)

    def _unmarked(self, site: Site, nodes: Names) -> str:
        self._read(site, nodes)
        return ", ".join(node for node in nodes if node not in self._departure.doomed)

    def _read(self, site: Site, nodes: Names) -> None:
        known = marks.read(site.server)
        self._departure.doomed |= {node: known[node].droplet for node in nodes if node in known}

    def _forbidden(self, site: Site, nodes: Names) -> Iterator[Problem]:
        yield from objections(site, nodes, self._terms)

    def _away(self, site: Site, nodes: Names) -> str:
        """Tell what is missing of the proof."""
        found = [f"{node} to report its own boot" for node in nodes if not _is_back(site, node, self._departure)]
        voting = [node for node in nodes if is_control_plane(site, node)]
        if voting and not found:
            council = quorum.convene(site)
            found += [f"{node} to vote" for node in voting if node not in council.healthy]
            found += [f"the API server of {one.where}" for one in quorum.unanswering(site)]
        for node in () if found else nodes:
            found += [f"{name} on {node}" for name in drain.daemons(site.server, node)]
        return ", ".join(found)

    def _open(self, site: Site, nodes: Names) -> None:
        """Let pods come to those that are Ready in their own boot."""
        self._uncordon(site, tuple(node for node in nodes if _is_back(site, node, self._departure)))

    def _uncordon(self, site: Site, nodes: Names) -> None:
        for node in nodes:
            drain.uncordon(site.server, node)

    def _cordoned(self, site: Site, nodes: Names) -> str:
        return ", ".join(node for node in nodes if drain.is_cordoned_by_us(site.server, node))

    def _close(self, site: Site, nodes: Names) -> None:
        for node in nodes:
            marks.remove(site.server, node)
            self._departure.doomed.pop(node, None)

    def _marked(self, site: Site, nodes: Names) -> str:
        known = marks.read(site.server)
        return ", ".join(node for node in nodes if node in known)


def undo(site: Site, nodes: Names) -> None:
    """Let nodes whose replacement was begun stay: they serve, take pods, and bear no mark again.

    Raises:
        Problems: what can't be undone any more; then nothing was.
    """
    known = marks.read(site.server)
    there = {one.id for one in site.observed.droplets}
    hint = "`gen replace` goes on"
    raise_all(
        Problem("its replacement was not begun", where=node)
        if node not in known
        else Problem("its old droplet is gone, so it can't stay", where=node, hint=hint)
        for node in nodes
        if node not in known or known[node].droplet not in there
    )
    voting = [node for node in nodes if is_control_plane(site, node)]
    members = {one.name for one in quorum.convene(site).members} if voting else set()
    raise_all(
        Problem("is no member of etcd any more, so it can't stay", where=node, hint=hint)
        for node in voting
        if node not in members
    )
    for node in nodes:
        if is_control_plane(site, node):
            site.have("serve", node)
        drain.uncordon(site.server, node)
        marks.remove(site.server, node)


def objections(site: Site, nodes: Sequence[str], terms: Terms) -> Iterator[Problem]:
    """Find everything that speaks against replacing some nodes now."""
    yield from others_unready(site, nodes)
    voting = [node for node in nodes if is_control_plane(site, node)]
    if voting:
        yield from quorum.objections(quorum.convene(site), voting)
        yield from quorum.unanswering(site, without=voting)
    for node in () if terms.force else nodes:
        yield from lost_data(site, node)


def _is_back(site: Site, name: str, departure: Departure) -> bool:
    droplet = site.case.here.get(name)
    if droplet is None or droplet.id == departure.doomed.get(name):
        return False
    is_ready = (site.observed.ready or {}).get(name, False)
    return is_ready and reported(site.plan.node(name), droplet, site.observed, "node")
