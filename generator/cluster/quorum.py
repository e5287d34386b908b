"""Judges, by what control-plane nodes say, whether etcd and the API servers can do without some of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from generator.cluster.channel import Answer
from generator.cluster.kube_api import NotYet
from generator.cluster.membership import machines
from generator.cluster.node_report import Etcd, Member, read_etcd
from generator.cluster.site import Site
from generator.errors import Problem
from generator.plain_text import clean

LOOK = "`gen status --ask` shows what each node sees; `gen launch` makes what is missing"


@dataclass(frozen=True)
class Council:
    """What the control-plane nodes that were asked say of etcd, by the node's name; who says nothing is not there."""

    views: Mapping[str, Etcd]

    @property
    def members(self) -> tuple[Member, ...]:
        """Give the members that a quorum knows, by the view of the first that has one."""
        return next((view.members for view in self.views.values() if view.members), ())

    @property
    def voters(self) -> tuple[str, ...]:
        """Name the voters."""
        return tuple(one.name for one in self.members if not one.learner)

    @property
    def healthy(self) -> frozenset[str]:
        """Name the voters that answer and follow a leader."""
        return frozenset(
            node
            for node, view in self.views.items()
            if not view.trouble and not view.learner and int(view.leader or "0", 16) and node in self.voters
        )

    @property
    def leader(self) -> str | None:
        """Name the member that leads, if one does."""
        numbers = {one.id: one.name for one in self.members}
        return next((numbers.get(view.leader) for view in self.views.values() if view.leader), None)

    def member(self, node: str) -> Member | None:
        """Give a node's member, if it has one."""
        return next((one for one in self.members if one.name == node), None)


def control_planes(site: Site) -> tuple[str, ...]:
    """Name the control-plane nodes that have a droplet: those planned, and those that left the description."""
    planned = {node.name for node in site.plan.nodes}
    entries = site.observed.roster.nodes if site.observed.roster else ()
    listed = frozenset(entry.name for entry in entries if entry.role == "control-plane")
    left = machines(site.plan, site.observed, listed - planned)
    return (*(node.name for node in site.plan.control_planes if node.name in site.case.here), *sorted(left))


def convene(site: Site, *, without: Sequence[str] = ()) -> Council:
    """Ask the control-plane nodes what they see of etcd.

    Raises:
        NotYet: no API server takes the request, or no node tells who the members are: who isn't told of may be one.
    """
    nodes = [name for name in control_planes(site) if name not in without]
    answers = site.ask("etcd", nodes) if nodes else {}
    views = {node: view for node in nodes if (view := _view(answers.get(node))) is not None}
    council = Council(views)
    if not council.members:
        silent = f" ({', '.join(nodes)} were asked)" if nodes else ""
        message = f"no control-plane node tells who etcd's members are{silent}"
        raise NotYet(message, where=site.plan.name, hint=LOOK)
    return council


def objections(council: Council, leaving: Sequence[str]) -> Iterator[Problem]:
    """Find what speaks against etcd's doing without some nodes.

    Members leave one by one, each while a majority of all is healthy; what is left has to be healthy as a whole.
    """
    where = ", ".join(leaving)
    rest = [name for name in council.voters if name not in leaving]
    if not rest:
        message = "is etcd's only member: without it there is no API, and its data is gone with the droplet"
        yield Problem(message, where=where, hint="three control-plane nodes can be replaced one by one: `count: 3`")
        return
    if len(council.healthy) <= len(council.voters) // 2:
        message = f"only {len(council.healthy)} of etcd's {len(council.voters)} voters are healthy, so none can leave"
        yield Problem(message, where=where, hint=LOOK)
    for one in council.members:
        if one.learner and one.name not in leaving:
            yield Problem("is a learner of etcd still", where=one.name, hint="wait until it votes: `gen launch`")
    for name in rest:
        if name not in council.healthy:
            trouble = council.views[name].trouble if name in council.views else "it says nothing"
            why = f": {trouble}" if trouble else ""
            message = f"its etcd member is not healthy{why}; without {where} the rest would be {len(rest)}"
            yield Problem(message, where=name, hint=LOOK)
    for view in council.views.values():
        for alarm in view.alarms:
            yield Problem(f"etcd has an alarm: {alarm}", where=where, hint=LOOK)


def unanswering(site: Site, *, without: Sequence[str] = ()) -> Iterator[Problem]:
    """Find API servers that do not answer behind some node's balancer.

    Raises:
        NotYet: no API server takes the request.
    """
    nodes = [name for name in control_planes(site) if name not in without]
    answers = site.ask("servers", nodes) if nodes else {}
    for node in nodes:
        answer = answers.get(node)
        if answer is None or answer.result is None:
            said = answer.message if answer else "it says nothing"
            yield Problem(f"can't tell which API servers answer: {said}", where=node, hint="`gen status --ask`")
            continue
        for server, trouble in _servers(answer):
            if trouble and server not in without:
                hint = f"`gen logs {server} kube-apiserver` shows what it does"
                yield Problem(f"its API server does not answer {node}: {trouble}", where=server, hint=hint)


def _view(answer: Answer | None) -> Etcd | None:
    if answer is None or answer.result is None:
        return None
    try:
        return read_etcd(answer.result)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _servers(answer: Answer) -> Iterator[tuple[str, str]]:
    """Read what a node says of each API server; what can't be read is trouble."""
    found = answer.result if isinstance(answer.result, list) else []
    for one in found[:64]:
        try:
            yield clean(str(one["node"]))[:63], clean(str(one["trouble"] or ""))[:300]
        except (KeyError, TypeError):
            yield answer.node, "its answer can't be read"
