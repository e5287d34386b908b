"""Takes nodes out of a living cluster: the rows from the cordon to the droplet's end.

Nothing is lost on the way that somebody else still needs: pods leave by the eviction API, etcd's leadership and the API
server's clients move on, the member leaves, and only then the machine goes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from generator.cluster import claims, drain, quorum
from generator.cluster.engine import Names, Row, unguarded
from generator.cluster.kinds import droplet as droplets
from generator.cluster.kube_api import NotYet
from generator.cluster.matching import node_of
from generator.cluster.observed import DROPLETS, VOLUMES
from generator.cluster.site import Site
from generator.errors import Problem
from generator.plan.names import volume_name
from generator.plan.volumes import VOLUMES as MOUNTS
from generator.provider.resources import Droplet

GONE = timedelta(minutes=3)
"""How long a droplet may take to go."""
MOVED = timedelta(minutes=2)
"""How long leadership, an API server's end, or a member's leave may take."""


@dataclass(frozen=True)
class Terms:
    """What a person allows: how long pods may take to leave, and whether what can't be moved is given up."""

    drain: timedelta = timedelta(minutes=5)
    force: bool = False


@dataclass
class Departure:
    """The rows by which nodes leave; `doomed` has the number of the droplet that has to go, for each planned node.

    A node that is not planned any more leaves with every droplet that it has.
    """

    terms: Terms
    doomed: dict[str, int] = field(default_factory=dict)
    _drains: dict[tuple[str, bool], drain.Drain] = field(default_factory=dict)
    _deadlines: dict[str, datetime] = field(default_factory=dict)
    _retired: set[str] = field(default_factory=set)

    @property
    def rows(self) -> tuple[Row, ...]:
        """Give the rows in their order."""
        waits = "give the pod's owner time, or more replicas; `--drain-timeout` waits longer, `--force` deletes it"
        longest = self.terms.drain + timedelta(minutes=1)
        return (
            Row("cordon", "let no new pod come", self._cordon, self._uncordoned, patience=MOVED),
            Row("drain", "evict the pods that can go", self._drain, self._undrained, self._undrainable, longest, waits),
            Row("lead", "move etcd's leadership away", self._move_lead, self._leading, self._inseparable, MOVED),
            Row("retire", "send the API server's clients away", self._retire, self._serving, self._needed, MOVED),
            Row("leave", "remove the member of etcd", self._leave, self._member, self._inseparable, MOVED),
            Row(
                "part", "evict those whose data lies here", self._part, self._unparted, unguarded, longest, waits, True
            ),
            Row("delete", "delete the droplet", self._delete, self._living, self._still_needed, GONE),
            Row("settle", "end the pods that went with it", self._settle, self._unsettled, patience=MOVED),
        )

    def machines(self, site: Site, node: str) -> tuple[Droplet, ...]:
        """Give the droplets of a node that have to go and are there still."""
        own = [one for one in site.observed.droplets if node_of(site.plan, one) == node]
        if node in self.doomed:
            return tuple(one for one in own if one.id == self.doomed[node])
        return () if node in {one.name for one in site.plan.nodes} else tuple(own)

    def _going(self, site: Site, nodes: Names) -> tuple[str, ...]:
        return tuple(node for node in nodes if self.machines(site, node))

    def _cordon(self, site: Site, nodes: Names) -> None:
        for node in self._going(site, nodes):
            drain.cordon(site.server, node)

    def _uncordoned(self, site: Site, nodes: Names) -> str:
        return ", ".join(node for node in self._going(site, nodes) if not drain.is_cordoned(site.server, node))

    def _drain(self, site: Site, nodes: Names) -> None:
        for one in self._drains_of(site, nodes):
            one.round(site.server, site.clock.now())

    def _undrained(self, site: Site, nodes: Names) -> str:
        """Tell which pods are there still; of a machine that is silent none can be awaited."""
        return "; ".join(word for one in self._drains_of(site, nodes) if (word := one.awaited(site.server)))

    def _part(self, site: Site, nodes: Names) -> None:
        for one in self._drains_of(site, nodes, last=True):
            one.round(site.server, site.clock.now())

    def _unparted(self, site: Site, nodes: Names) -> str:
        return "; ".join(word for one in self._drains_of(site, nodes, last=True) if (word := one.awaited(site.server)))

    def _undrainable(self, site: Site, nodes: Names) -> Iterator[Problem]:
        if self.terms.force:
            return
        for node in self._going(site, nodes):
            yield from lost_data(site, node)
            yield from drain.refuse_orphans(site.server, node)

    def _drains_of(self, site: Site, nodes: Names, *, last: bool = False) -> Iterator[drain.Drain]:
        for node in self._going(site, nodes):
            if not _is_ready(site, node):
                continue
            if (node, last) not in self._drains:
                deadline = self._deadlines.setdefault(node, site.clock.now() + self.terms.drain)
                self._drains[node, last] = drain.Drain(node, deadline, force=self.terms.force, last=last)
            yield self._drains[node, last]

    def _move_lead(self, site: Site, nodes: Names) -> None:
        leader = quorum.convene(site).leader
        if leader in self._going(site, nodes):
            site.have("lead", str(leader))

    def _leading(self, site: Site, nodes: Names) -> str:
        if not self._voting(site, nodes):
            return ""
        leader = quorum.convene(site).leader
        return f"{leader} to lead no more" if leader in nodes else ""

    def _retire(self, site: Site, nodes: Names) -> None:
        site.leave_to(nodes)
        for node in self._voting(site, nodes):
            if node not in self._retired:
                site.have("retire", node)
                self._retired.add(node)

    def _serving(self, site: Site, nodes: Names) -> str:
        """Tell whose API server serves still; one without its member of etcd can't."""
        serving = [node for node in self._voting(site, nodes) if node not in self._retired]
        if serving:
            members = quorum.convene(site, without=nodes)
            serving = [node for node in serving if members.member(node) is not None]
        return f"the API server of {', '.join(serving)} to end" if serving else ""

    def _needed(self, site: Site, nodes: Names) -> Iterator[Problem]:
        yield from quorum.unanswering(site, without=nodes)
        yield from self._inseparable(site, nodes)

    def _leave(self, site: Site, nodes: Names) -> None:
        site.leave_to(nodes)
        council = quorum.convene(site, without=nodes)
        for node in nodes:
            member = council.member(node)
            if member is not None and self._is_leaving(site, node):
                helper = next((one for one in sorted(council.healthy) if one not in nodes), None)
                if helper is None:
                    raise NotYet("no other member of etcd is healthy", where=node, hint="`gen status --ask`")
                site.have("remove", helper, {"name": node, "member": member.id})

    def _member(self, site: Site, nodes: Names) -> str:
        if not any(is_control_plane(site, node) and self._is_leaving(site, node) for node in nodes):
            return ""
        council = quorum.convene(site, without=nodes)
        left = [node for node in nodes if council.member(node) and self._is_leaving(site, node)]
        return f"{', '.join(left)} to leave etcd" if left else ""

    def _is_leaving(self, site: Site, node: str) -> bool:
        """Tell whether a member that bears the node's name is its old one: of a new machine it has to stay."""
        planned = node in {one.name for one in site.plan.nodes}
        return not planned or bool(self.machines(site, node))

    def _inseparable(self, site: Site, nodes: Names) -> Iterator[Problem]:
        if any(is_control_plane(site, node) for node in nodes):
            yield from quorum.objections(quorum.convene(site), nodes)

    def _delete(self, site: Site, nodes: Names) -> None:
        for node in nodes:
            for machine in self.machines(site, node):
                droplets.end(machine, site.work)
                rest = tuple(one for one in site.observed.droplets if one.id != machine.id)
                site.observed = site.observed.having(DROPLETS, rest)
        site.leave_to(())

    def _living(self, site: Site, nodes: Names) -> str:
        going = [f"droplet {machine.id} of {node}" for node in nodes for machine in self.machines(site, node)]
        return f"{', '.join(going)} to go" if going else ""

    def _settle(self, site: Site, nodes: Names) -> None:
        for node in self._without_machine(site, nodes):
            drain.settle(site.server, node)

    def _unsettled(self, site: Site, nodes: Names) -> str:
        left = [str(pod) for node in self._without_machine(site, nodes) for pod in drain.stuck(site.server, node)]
        return f"{', '.join(left)} to end" if left else ""

    def _without_machine(self, site: Site, nodes: Names) -> tuple[str, ...]:
        there = {node_of(site.plan, one) for one in site.observed.droplets}
        return tuple(node for node in nodes if node not in there)

    def _still_needed(self, site: Site, nodes: Names) -> Iterator[Problem]:
        """Find members of etcd among those that go: their machine stays until they have left."""
        left = self._member(site, nodes)
        if left:
            yield Problem(f"stays, waiting for {left}", where=", ".join(nodes), hint="run the command again")

    def _voting(self, site: Site, nodes: Names) -> tuple[str, ...]:
        """Name the control-plane nodes among those that go whose agent can be asked."""
        going = self._going(site, nodes)
        return tuple(node for node in going if is_control_plane(site, node) and _is_ready(site, node))


def lost_data(site: Site, node: str) -> Iterator[Problem]:
    """Find what is on a node's own disk and nowhere else."""
    prefix = volume_name(site.plan.name, node, "")
    volumes = [one.name.removeprefix(prefix) for one in site.observed.of(VOLUMES) if one.name.startswith(prefix)]
    for claim in claims.on(site.server, node, [f"{MOUNTS}/{name}" for name in volumes]):
        hint = "move or save it first; `--force` goes on without it"
        yield Problem(f"holds the only copy of {claim}", where=node, hint=hint)


def is_control_plane(site: Site, node: str) -> bool:
    """Tell whether a node has etcd, by the plan, or by the roster where it isn't planned any more."""
    planned: dict[str, Any] = {one.name: one.role for one in site.plan.nodes}
    listed = {one.name: one.role for one in site.observed.roster.nodes} if site.observed.roster else {}
    return (listed | planned).get(node) == "control-plane"


def ready_nodes(site: Site) -> Mapping[str, bool]:
    """Give the nodes that Kubernetes knows, and whether they are ready.

    Raises:
        NotYet: no API server answered at the last look; who can't be asked about is not taken for gone.
    """
    if site.observed.ready is None:
        raise NotYet("no API server answers", where=site.plan.name, hint="`gen status` shows how the nodes are")
    return site.observed.ready


def _is_ready(site: Site, node: str) -> bool:
    return ready_nodes(site).get(node, False)


def others_unready(site: Site, nodes: Sequence[str]) -> Iterator[Problem]:
    """Find nodes beside these that Kubernetes doesn't call ready: two at once are more than a cluster is made for."""
    for node in site.plan.nodes:
        if node.name not in nodes and not _is_ready(site, node.name):
            there = node.name in site.case.here
            hint = f"`gen replace {node.name}` first" if there else "`gen launch` makes it"
            state = "is not Ready" if there else "has no droplet"
            yield Problem(f"{state}, and {', '.join(nodes)} would be away as well", where=node.name, hint=hint)
