"""Brings a cluster up: compares, acts, looks again, until every node is ready and the addons are applied.

There is no record of what a launch did: each round starts from what is there. So a launch that was killed is
continued by the next one, and one that has nothing to do changes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from generator.clock import Clock
from generator.cluster import readiness
from generator.cluster.diff import diff
from generator.cluster.kinds.kind import Action, Case, Work
from generator.cluster.kinds.registry import KINDS
from generator.cluster.kube_api import Credentials, Kube
from generator.cluster.launch_lock import LaunchLock
from generator.cluster.launchable import Launchable
from generator.cluster.observed import Observed
from generator.cluster.observer import Observer
from generator.cluster.phase_table import PhaseTable, last_words, rows
from generator.cluster.preflight import Availability, faults, look, skewed
from generator.errors import Problem, raise_all
from generator.provider.connection import Connection
from generator.provider.digitalocean import Cloud
from generator.provider.spaces import Spaces

TICK = 3.0
MOST_TRIES = 10
SECOND_LOOK = timedelta(seconds=10)
"""A cluster that looked ready from the start is looked at again: lists and Kubernetes show the dead for a while."""
PATIENCE = timedelta(seconds=90)
"""How long a phase may be failed before it counts: its unit may be started again, some once a minute."""
UNREACHABLE = timedelta(minutes=3)
"""How long no API server may answer although every node reports that it is up."""


@dataclass(frozen=True)
class Served:
    """A cluster that is up: the API server that answers, and the public addresses at which the ingress does."""

    server: Kube
    public: tuple[str, ...]


@dataclass
class Tries:
    """How often each action was carried out: what never takes effect is not tried for ever."""

    counts: Counter[str] = field(default_factory=Counter)

    def count(self, action: Action) -> None:
        """Count one more try.

        Raises:
            Problem: it was tried often enough.
        """
        self.counts[str(action)] += 1
        if self.counts[str(action)] > MOST_TRIES:
            message = f"{action.verb} was tried {MOST_TRIES} times, and is to be done still"
            raise Problem(message, where=action.where, hint="look there for what stands in its way, and launch again")


class Launch:
    """One launch of one cluster."""

    def __init__(
        self,
        launchable: Launchable,
        connection: Connection,
        credentials: Credentials,
        *,
        clock: Clock,
        lifetime: timedelta,
        given_up: frozenset[str] = frozenset(),
    ) -> None:
        plan = launchable.plan
        self._plan = plan
        self._documents = launchable.documents
        self._clock = clock
        self._cloud = Cloud(connection, clock)
        self._spaces = Spaces(connection, bucket=plan.spaces_bucket, region=plan.spaces_region)
        self._observer = Observer(
            plan,
            self._cloud,
            self._spaces,
            clock,
            credentials,
            connection.proxy,
            report_keys={node.name: launchable.store.report_secret(node.name) for node in plan.nodes},
            given_up=given_up,
        )
        memory = self._observer.memory
        self._work = Work(launchable, self._cloud, self._spaces, clock, lifetime, memory, KINDS)
        self._said: set[str] = set()
        self._tries = Tries()
        self._failed: dict[str, datetime] = {}
        self._ready_since: datetime | None = None
        self._unreachable_since: datetime | None = None

    @property
    def requests(self) -> int:
        """Tell how many requests went to the provider's API."""
        return self._cloud.requests

    def rehearse(self) -> tuple[tuple[Action, ...], Availability]:
        """Look at everything and say what is to be done, changing nothing.

        Raises:
            Problems: everything that would stop the launch.
        """
        offered, time = look(self._cloud, self._plan)
        raise_all(skewed(self._clock.now(), time))
        actions = diff(self._plan, self._documents, self._observer.look())
        raise_all(faults(self._plan, actions, offered))
        return actions, offered

    def run(self, table: PhaseTable, *, timeout: timedelta) -> Served:
        """Do what is to be done, and wait until the cluster serves.

        Raises:
            Problem: a node failed, or time is up; what the nodes say was shown.
            Problems: something came up that can't be repaired.
        """
        deadline = self._clock.now() + timeout
        if not self._spaces.bucket_exists():
            self._spaces.create_bucket()
        with LaunchLock(self._spaces, self._plan.name, self._clock, table.say) as lock:
            observed = self._observer.look()
            while True:
                actions = self._compare(observed)
                observed = self._act(actions, observed, table, lock)
                case = Case(self._plan, self._documents, observed)
                self._show(case, table)
                if self._serves(actions, case):
                    return self._served(case)
                self._stop_on_failure(case, table)
                self._stop_when_late(case, table, deadline)
                self._clock.sleep(TICK)
                lock.keep()
                observed = self._observer.again(observed)

    def _compare(self, observed: Observed) -> tuple[Action, ...]:
        actions = diff(self._plan, self._documents, observed)
        raise_all(Problem(one.why, where=one.where, hint=one.hint) for one in actions if one.verb == "refuse")
        return actions

    def _act(self, actions: Sequence[Action], observed: Observed, table: PhaseTable, lock: LaunchLock) -> Observed:
        for action in actions:
            if action.changes or str(action) not in self._said:
                table.say(str(action))
                self._said.add(str(action))
            if action.changes:
                self._tries.count(action)
                lock.keep()
                observed = action.kind.apply(action, self._work, observed)
        return observed

    def _show(self, case: Case, table: PhaseTable) -> None:
        """Show how far the nodes are, and once for each unit that failed and is tried again its last line."""
        for node in case.observed.reports:
            report = readiness.own_report(node, case)
            failure = report.progress.failure if report else None
            if failure is None:
                continue
            key = f"{node}: {failure.unit}"
            if key not in self._said:
                self._said.add(key)
                table.say(f"{key} failed: {failure.lines[-1] if failure.lines else 'it said nothing'}")
        for node, lines in readiness.unheard(case).items():
            if (key := f"{node}: nothing") not in self._said:
                self._said.add(key)
                for line in lines:
                    table.say(line)
        table.show(rows(self._plan, case.observed), case.observed.time)

    def _serves(self, actions: Sequence[Action], case: Case) -> bool:
        """Tell whether all is done, and was some seconds ago if this launch made none of the droplets."""
        now = case.observed.time
        if any(one.changes or one.verb == "wait" for one in actions) or readiness.awaited(case):
            self._ready_since = None
            return False
        self._ready_since = self._ready_since or now
        return bool(self._work.tries) or now - self._ready_since >= SECOND_LOOK

    def _stop_on_failure(self, case: Case, table: PhaseTable) -> None:
        """Give up when a phase stays failed."""
        now = case.observed.time
        self._failed = {name: self._failed.get(name, now) for name in readiness.failed(case)}
        given_up = [name for name, since in self._failed.items() if now - since >= PATIENCE]
        if given_up:
            self._explain(case, table)
            problems = [readiness.given_up(name, case.observed.reports[name]) for name in given_up]
            raise_all(problems if case.observed.ready is not None else [*problems, readiness.late(case)])

    def _stop_when_late(self, case: Case, table: PhaseTable, deadline: datetime) -> None:
        """Give up when time is up, or when all nodes say that they are up and yet no API server answers for long."""
        now = case.observed.time
        if case.observed.ready is not None or not readiness.all_say_that_they_are_up(case):
            self._unreachable_since = None
        else:
            self._unreachable_since = self._unreachable_since or now
        is_unreachable = self._unreachable_since is not None and now - self._unreachable_since >= UNREACHABLE
        if self._clock.now() > deadline or is_unreachable:
            self._explain(case, table)
            raise readiness.late(case)

    def _explain(self, case: Case, table: PhaseTable) -> None:
        """Show of each node that is not up what it said last."""
        for row in rows(self._plan, case.observed):
            report = readiness.own_report(row.node, case)
            if report is None:
                table.say(f"{row.node}: {row.now}, and has reported nothing")
            elif not report.progress.complete or case.observed.ready is None:
                for line in last_words(row.node, report.progress):
                    table.say(line)

    def _served(self, case: Case) -> Served:
        takes_pods = [case.here[node.name] for node in self._plan.nodes if node.schedulable and node.name in case.here]
        public = tuple(one.public for one in takes_pods if one.public is not None)
        if self._observer.server is None:
            raise ValueError("a cluster that is up has an API server that answers")
        return Served(self._observer.server, public)
