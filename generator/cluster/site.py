"""Holds what a verb works with at one cluster: what is planned, the ways there, and what was seen last."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any

from generator.clock import Clock
from generator.cluster.channel import Answer, Channel
from generator.cluster.kinds.kind import Case, Work
from generator.cluster.kinds.registry import KINDS
from generator.cluster.kube_api import Credentials, Kube, NotYet
from generator.cluster.launchable import Documents, Launchable
from generator.cluster.observed import Observed
from generator.cluster.observer import Observer
from generator.cluster.trail import Trail
from generator.plan.decide import Plan
from generator.provider.connection import Connection
from generator.provider.digitalocean import Cloud
from generator.provider.spaces import Spaces

PATIENCE = timedelta(seconds=45)
"""How long an answer of a node is waited for; what it does at most is a graceful stop."""


class Site:
    """One cluster, worked on; `observed` is what was seen last, with the effects of what was done since.

    `leaving` names the nodes that are on their way out: what they report is no fault, and their API servers are not
    asked as long as another answers. `report_keys` has those of nodes that left the description as well.
    """

    def __init__(
        self,
        launchable: Launchable,
        connection: Connection,
        credentials: Credentials,
        *,
        clock: Clock,
        lifetime: timedelta,
        report_keys: Mapping[str, bytes],
        given_up: frozenset[str] = frozenset(),
    ) -> None:
        plan = launchable.plan
        self._launchable = launchable
        self._report_keys = report_keys
        self.connection = connection
        self.clock = clock
        self.cloud = Cloud(connection, clock)
        self.spaces = Spaces(connection, bucket=plan.spaces_bucket, region=plan.spaces_region)
        self._observer = Observer(
            plan,
            self.cloud,
            self.spaces,
            clock,
            credentials,
            connection.proxy,
            report_keys=self._report_keys,
            given_up=given_up,
        )
        self.work = Work(launchable, self.cloud, self.spaces, clock, lifetime, self._observer.memory, KINDS)
        self.trail = Trail(clock)
        self._observed: Observed | None = None

    @property
    def plan(self) -> Plan:
        """Give what was decided."""
        return self._launchable.plan

    @property
    def documents(self) -> Documents:
        """Give the digests of what was reviewed."""
        return self._launchable.documents

    @property
    def observed(self) -> Observed:
        """Give what was seen last; look, where nothing was yet."""
        return self._observed or self.look()

    @observed.setter
    def observed(self, value: Observed) -> None:
        self._observed = value

    @property
    def case(self) -> Case:
        """Give what should be, beside what was seen last."""
        return Case(self.plan, self.documents, self.observed)

    @property
    def server(self) -> Kube:
        """Give the API server that answered last.

        Raises:
            NotYet: none did.
        """
        if self._observed is None:
            self.look()
        if self._observer.server is None:
            hint = "is this machine's address in `access.api`? `gen status` shows how the nodes are"
            raise NotYet("no API server answers", where=self.plan.name, hint=hint)
        return self._observer.server

    @property
    def leaving(self) -> frozenset[str]:
        """Name the nodes that are on their way out."""
        return self._observer.leaving

    def leave_to(self, nodes: Collection[str]) -> None:
        """Say which nodes are on their way out, and look for an API server among the others."""
        if self._observer.leaving != frozenset(nodes):
            self._observer.leaving = frozenset(nodes)
            self.look()

    def look(self, *, anew: bool = False) -> Observed:
        """Look at everything, and from the second time on, unless `anew`, at what changes by itself."""
        before = None if anew else self._observed
        self._observed = self._observer.look() if before is None else self._observer.again(before)
        return self._observed

    def ask(
        self,
        verb: str,
        nodes: Sequence[str],
        arguments: Mapping[str, Any] | None = None,
        patience: timedelta = PATIENCE,
    ) -> Mapping[str, Answer]:
        """Have control-plane nodes do something, and give what they answered.

        Raises:
            NotYet: no API server takes the request.
        """
        key = self._launchable.store.operator_key
        channel = Channel(self.plan.cluster_id, self.server, key, self._report_keys, self.clock)
        return channel.ask(verb, nodes, arguments or {}, patience=patience)

    def again(self) -> None:
        """Have the first control-plane node that hears it try those addons once more that were not up."""
        for node in self.plan.control_planes:
            if self.ask("again", [node.name]):
                return

    def have(self, verb: str, node: str, arguments: Mapping[str, Any] | None = None) -> Any:
        """Have one node do something, and give what came of it.

        Raises:
            NotYet: it failed there, or said nothing.
        """
        answer = self.ask(verb, [node], arguments).get(node)
        if answer is None:
            hint = f"`gen logs {node} hardway-channel` shows what it does; run the command again, it goes on"
            raise NotYet(f"did not answer `{verb}` within {PATIENCE.total_seconds():.0f} s", where=node, hint=hint)
        if answer.result is None:
            raise NotYet(f"could not `{verb}`: {answer.message}", where=node, hint="run the command again, it goes on")
        return answer.result
