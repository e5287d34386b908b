"""Makes a cluster what its plan says, round after round, until it serves: the rows of a launch, and of verbs after it.

Each round starts from what is there: it compares, carries out what follows, and looks again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import accumulate

from generator.cluster import crowd, readiness
from generator.cluster.diff import diff
from generator.cluster.engine import Names, Row, Step, wait_only
from generator.cluster.kinds.kind import Action, told
from generator.cluster.leases import unrenewed
from generator.cluster.site import Site
from generator.errors import Problem, raise_all

MOST_TRIES = 10
MOST_AT_ONCE = 50
"""Changes of one round: then the cluster is looked at and shown, and the roster tells who is where by now."""
SECOND_LOOK = timedelta(seconds=10)
"""A cluster that looked ready from the start is looked at again: lists and Kubernetes show the dead for a while.

Its kubelets have to renew their leases meanwhile: how long lists lag is not known for sure.
"""


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


def compare(site: Site) -> tuple[Action, ...]:
    """Say what follows from what was seen last.

    Raises:
        Problems: what forbids to do anything.
    """
    actions = diff(site.plan, site.documents, site.observed)
    raise_all(Problem(one.why, where=one.where, hint=one.hint) for one in actions if one.verb == "refuse")
    return actions


class Assembly:
    """The rows by which everything that is missing is made and awaited.

    Args:
        say: hears of each action once, and of each that changes something whenever it is carried out.
        keep: keeps the launch lock, before each change.
    """

    def __init__(self, say: Callable[[str], None], keep: Callable[[], None]) -> None:
        self._say = say
        self._keep = keep
        self._said: set[str] = set()
        self._tries = Tries()
        self._acted: tuple[Action, ...] | None = None
        self._ready_since: datetime | None = None
        self._leases: dict[str, str] = {}

    def steps(self, nodes: Names = (), along: Callable[[Site, Names], None] = wait_only) -> tuple[Step, ...]:
        """Give the rows for the cluster as a whole.

        Args:
            along: what is done besides for some nodes, in each round in which they come up.
        """

        def come_up(site: Site, none: Names) -> None:
            self._round(site, none)
            along(site, nodes)

        self._acted, self._ready_since, self._leases = None, None, {}
        words = "wait until every node is up and the addons are applied"
        return (
            Step(Row("make", "make what is missing", self._round, self._unmade)),
            Step(Row("serve", words, come_up, self._unready)),
        )

    def _round(self, site: Site, nodes: Names) -> None:  # noqa: ARG002
        actions = compare(site)
        now = _of_one_round(actions)
        for action, line in zip(now, told(now), strict=True):
            if line and (action.changes or line not in self._said):
                self._say(line)
                self._said.add(line)
            if action.changes:
                self._tries.count(action)
                self._keep()
                with site.trail.step(f"{action.verb} {action.where}"):
                    site.observed = action.kind.apply(action, site.work, site.observed)
        self._acted = actions

    def _unmade(self, site: Site, nodes: Names) -> str:  # noqa: ARG002
        return _listed([str(action) for action in compare(site) if _is_open(action)])

    def _unready(self, site: Site, nodes: Names) -> str:  # noqa: ARG002
        """Tell what is not up; a cluster of which nothing was made has to have been up for some seconds."""
        now = site.observed.time
        acted = compare(site) if self._acted is None else self._acted
        found = [str(action) for action in acted if _is_open(action)] or readiness.awaited(site.case)
        if found:
            self._ready_since, self._leases = None, {}
            return _listed(found)
        self._ready_since = self._ready_since or now
        if site.work.tries:
            return ""
        silent = unrenewed(site.server, [node.name for node in site.plan.nodes], self._leases)
        if silent:
            return f"{_listed(silent)} to renew the lease of its Node"
        return "" if now - self._ready_since >= SECOND_LOOK else "a second look"


def _of_one_round(actions: Sequence[Action]) -> list[Action]:
    """Give the actions up to the last change that one round has time for."""
    counts = accumulate(action.changes for action in actions)
    return [action for action, count in zip(actions, counts, strict=True) if count <= MOST_AT_ONCE]


def _is_open(action: Action) -> bool:
    return action.changes or action.verb == "wait"


def _listed(found: Sequence[str]) -> str:
    return crowd.named(found, 5)
