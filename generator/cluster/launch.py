"""Brings a cluster up: compares, acts, looks again, until every node is ready and the addons are applied.

There is no record of what a launch did: each round starts from what is there. So a launch that was killed is
continued by the next one, and one that has nothing to do changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from generator.clock import Clock
from generator.cluster.diff import diff
from generator.cluster.kinds.kind import Action, Work
from generator.cluster.kinds.registry import KINDS
from generator.cluster.kube_api import Credentials
from generator.cluster.launch_lock import LaunchLock
from generator.cluster.launchable import Launchable
from generator.cluster.matching import placed, ready
from generator.cluster.observed import Observed, Report
from generator.cluster.observer import Observer
from generator.cluster.phase_table import Watch, last_words, rows
from generator.cluster.preflight import Availability, faults, look, skewed
from generator.errors import Problem, raise_all
from generator.plan.decide import Node
from generator.provider.connection import Connection
from generator.provider.digitalocean import Cloud
from generator.provider.resources import Droplet
from generator.provider.spaces import Spaces

TICK = 3.0
SECOND_LOOK = timedelta(seconds=10)
"""A cluster that looked ready from the start is looked at again: lists and Kubernetes show the dead for a while."""
PATIENCE = timedelta(seconds=90)
"""How long a phase may be failed before it counts: its unit may be started again, some once a minute."""
SILENCE = timedelta(minutes=15)
"""After so long without a word from a node that Kubernetes calls ready, its report is not waited for."""
UNREACHABLE = timedelta(minutes=3)
"""How long no API server may answer although every node reports that it is up."""


@dataclass(frozen=True)
class Served:
    """A cluster that is up: where its API server answers, and the public addresses at which the ingress does."""

    address: str
    public: tuple[str, ...]


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
    ) -> None:
        plan = launchable.plan
        self._launchable = launchable
        self._clock = clock
        self._cloud = Cloud(connection, clock)
        self._spaces = Spaces(connection, bucket=plan.spaces_bucket, region=plan.spaces_region)
        self._observer = Observer(plan, self._cloud, self._spaces, clock, credentials, connection.proxy)
        memory = self._observer.memory
        self._work = Work(launchable, self._cloud, self._spaces, clock, lifetime, memory, KINDS)
        self._failed: dict[str, datetime] = {}
        self._ready_since: datetime | None = None
        self._silent_since: datetime | None = None

    @property
    def requests(self) -> int:
        """Tell how many requests went to the provider's API."""
        return self._cloud.requests

    def rehearse(self) -> tuple[tuple[Action, ...], Availability]:
        """Look at everything and say what is to be done, changing nothing.

        Raises:
            Problems: everything that would stop the launch.
        """
        plan = self._launchable.plan
        offered, time = look(self._cloud, plan)
        raise_all(skewed(self._clock.now(), time))
        observed = self._observer.look()
        actions = diff(plan, self._launchable.documents, observed)
        raise_all(faults(plan, actions, offered))
        return actions, offered

    def run(self, watch: Watch, *, timeout: timedelta) -> Served:
        """Do what is to be done, and wait until the cluster serves.

        Raises:
            Problem: a node failed, or time is up; what the nodes say was shown.
            Problems: something came up that can't be repaired.
        """
        name = self._launchable.plan.name
        if not self._spaces.bucket_exists():
            self._spaces.create_bucket()
        with LaunchLock(self._spaces, name, self._clock, watch.say) as lock:
            return self._rounds(watch, lock.keep, self._clock.now() + timeout)

    def _rounds(self, watch: Watch, keep: Callable[[], None], deadline: datetime) -> Served:
        plan = self._launchable.plan
        observed = self._observer.look()
        said: set[str] = set()
        while True:
            actions = diff(plan, self._launchable.documents, observed)
            raise_all(Problem(one.why, where=one.where, hint=one.hint) for one in actions if one.verb == "refuse")
            for action in actions:
                if action.changes or str(action) not in said:
                    watch.say(str(action))
                    said.add(str(action))
                if action.changes:
                    keep()
                    observed = action.kind.apply(action, self._work, observed)
            self._mention(watch, observed, said)
            watch.show(rows(plan, observed), observed.time)
            if self._is_up(actions, observed):
                return self._served(observed)
            self._stop_on_failure(watch, observed)
            if self._clock.now() > deadline or self._is_unreachable(observed):
                self._explain(watch, observed)
                raise self._late(observed)
            self._clock.sleep(TICK)
            keep()
            observed = self._observer.again(observed)

    def _is_up(self, actions: Sequence[Action], observed: Observed) -> bool:
        """Tell whether all is done, and was some seconds ago if this launch made none of the droplets."""
        up = not any(one.changes or one.verb == "wait" for one in actions) and not self._awaited(observed)
        if not up:
            self._ready_since = None
            return False
        self._ready_since = self._ready_since or observed.time
        return bool(self._work.tries) or observed.time - self._ready_since >= SECOND_LOOK

    def _missing(self, observed: Observed) -> list[str]:
        """Name the nodes that are not up, by Kubernetes' word and, while it can be heard, by their own."""
        if observed.ready is None:
            return [node.name for node in self._launchable.plan.nodes]
        here = placed(self._launchable.plan, observed)
        return [
            node.name
            for node in self._launchable.plan.nodes
            if node.name not in here
            or not observed.ready.get(node.name, False)
            or not (self._complete(node, here[node.name], observed) or _silent(node, here[node.name], observed))
        ]

    def _awaited(self, observed: Observed) -> list[str]:
        """Name what is waited for: nodes, and the addons while the cluster's own record has others or none."""
        wanted = self._launchable.documents.addons
        if observed.ready is None or observed.applied == wanted:
            return self._missing(observed)
        has = f"those of {observed.applied[:12]}" if observed.applied else "none"
        return [*self._missing(observed), f"the addons of {wanted[:12]} (the cluster has {has})"]

    @staticmethod
    def _complete(node: Node, droplet: Droplet, observed: Observed) -> bool:
        report = observed.reports.get(node.name)
        return report is not None and report.at >= droplet.created and report.progress.complete

    def _stop_on_failure(self, watch: Watch, observed: Observed) -> None:
        """Give up when a phase stays failed.

        A report from before the droplet, or of long ago, doesn't count; nor do addons that the roster has replaced.
        """
        here = placed(self._launchable.plan, observed)
        published = observed.roster.generation if observed.roster else 0
        failed = {}
        for node in self._launchable.plan.nodes:
            report, droplet = observed.reports.get(node.name), here.get(node.name)
            if report is None or droplet is None or report.at < droplet.created or _silent(node, droplet, observed):
                continue
            phases = {phase.name for phase in report.progress.phases if phase.state == "failed"}
            if report.progress.generation < published:
                phases -= {"addons"}
            if phases:
                failed[node.name] = self._failed.get(node.name, observed.time)
        self._failed = failed
        given_up = [name for name, since in failed.items() if observed.time - since >= PATIENCE]
        if given_up:
            self._explain(watch, observed)
            problems = [_given_up(name, observed.reports[name]) for name in given_up]
            raise_all(problems if observed.ready is not None else [*problems, self._late(observed)])

    def _mention(self, watch: Watch, observed: Observed, said: set[str]) -> None:
        """Show the last line of a unit that failed and is tried again, once for each unit."""
        here = placed(self._launchable.plan, observed)
        for node, report in observed.reports.items():
            failure = report.progress.failure
            if failure is None or node not in here or report.at < here[node].created:
                continue
            key = f"{node}: {failure.unit}"
            if key not in said:
                said.add(key)
                watch.say(f"{key} failed: {failure.lines[-1] if failure.lines else 'it said nothing'}")

    def _explain(self, watch: Watch, observed: Observed) -> None:
        """Show of each node that is not up what it said last."""
        here = placed(self._launchable.plan, observed)
        for row in rows(self._launchable.plan, observed):
            report, droplet = observed.reports.get(row.node), here.get(row.node)
            if report is None or droplet is None or report.at < droplet.created:
                watch.say(f"{row.node}: {row.now}, and has reported nothing")
            elif not report.progress.complete or observed.ready is None:
                for line in last_words(row.node, report.progress):
                    watch.say(line)

    def _late(self, observed: Observed) -> Problem:
        plan = self._launchable.plan
        state = observed.roster.etcd.state if observed.roster else "new"
        if observed.ready is not None:
            hint = "launch again to go on waiting"
            if observed.applied != self._launchable.documents.addons:
                hint = f"`gen kubeconfig`, then `kubectl get pods -A`, shows what does not come up; {hint}"
            return Problem(f"time is up, still waiting for {', '.join(self._awaited(observed))}", hint=hint)
        if state == "existing":
            message = "no API server answers, and as etcd is `existing` by the roster no second cluster is formed"
            hint = (
                "if this machine's address is in `access.api`, etcd has lost its quorum; "
                f"if its data is gone from most nodes, only `gen destroy {plan.name}` and a new launch help"
            )
            return Problem(message, hint=hint)
        hint = "is this machine's address in `access.api`? launch again to go on waiting"
        return Problem("no API server answers yet", hint=hint)

    def _is_unreachable(self, observed: Observed) -> bool:
        """Tell whether all nodes say that they are up, and yet no API server has answered for long."""
        here = placed(self._launchable.plan, observed)
        nodes = self._launchable.plan.nodes
        says_up = all(node.name in here and self._complete(node, here[node.name], observed) for node in nodes)
        if observed.ready is not None or not says_up:
            self._silent_since = None
            return False
        self._silent_since = self._silent_since or observed.time
        return observed.time - self._silent_since >= UNREACHABLE

    def _served(self, observed: Observed) -> Served:
        here = placed(self._launchable.plan, observed)
        takes_pods = [here[node.name] for node in self._launchable.plan.nodes if node.schedulable and node.name in here]
        public = tuple(one.public for one in takes_pods if one.public is not None)
        if self._observer.address is None:
            raise ValueError("a cluster that is up has an API server that answers")
        return Served(self._observer.address, public)


def _given_up(node: str, report: Report) -> Problem:
    current = report.progress.current
    hint = "mend its document, destroy the droplet, and launch again"
    if current is not None and current.name == "addons":
        hint = "mend the addon, `gen render`, and launch again; its droplet can stay"
    return Problem("a phase failed, its last lines are above", where=node, hint=hint)


def _silent(node: Node, droplet: Droplet, observed: Observed) -> bool:
    """Tell whether a node that Kubernetes calls ready has said nothing for long: its address for reports expired."""
    report = observed.reports.get(node.name)
    heard = max(droplet.created, report.at) if report else droplet.created
    return ready(node, droplet, observed) and observed.time - heard > SILENCE
