"""Carries out the steps of a verb, one after the other: each has a guard, a doing and a proof.

There is no record of what was done: before a step begins its proof is asked for, so one that is done is passed over.
Whoever was killed is continued by the next run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain, repeat
from typing import Any, Literal

from generator.clock import stamp
from generator.cluster.kube_api import NotYet
from generator.cluster.launch_lock import LaunchLock
from generator.cluster.site import Site
from generator.cluster.watch import Watch
from generator.errors import Problem, raise_all

TICK = 3.0
"""Seconds between two looks, which cost requests that are counted."""
QUICK = 6 * (1.0,)
"""Seconds between the first looks of a row that is quick."""

Names = tuple[str, ...]
State = Literal["begun", "done", "passed", "failed"]


def unguarded(site: Site, nodes: Names) -> Iterator[Problem]:  # noqa: ARG001
    """Find nothing that forbids a step."""
    yield from ()


def wait_only(site: Site, nodes: Names) -> None:
    """Do nothing: the step comes about by itself."""


@dataclass(frozen=True)
class Row:
    """One line of a verb's table.

    `awaited` is the proof: what is still waited for, in words, and empty once the step is done. `guard` finds what
    forbids the step; it is asked before the doing, not where there is nothing to do. `doing` is one round of work, safe
    to repeat. `patience` bounds the rounds, None where the verb's own time does. Where somebody does without the node
    meanwhile, the first few rounds are `quick`.
    """

    name: str
    words: str
    doing: Callable[[Site, Names], None]
    awaited: Callable[[Site, Names], str]
    guard: Callable[[Site, Names], Iterator[Problem]] = unguarded
    patience: timedelta | None = None
    hint: str = "run the command again, it goes on here"
    quick: bool = False


@dataclass(frozen=True)
class Step:
    """A row for some nodes, or for the cluster where it names none."""

    row: Row
    nodes: Names = ()

    def __str__(self) -> str:
        """Show it as one line."""
        return f"{', '.join(self.nodes)}: {self.row.words}" if self.nodes else self.row.words


@dataclass(frozen=True)
class Event:
    """What became of a step, and after how many seconds."""

    step: Step
    state: State
    time: datetime
    seconds: float
    message: str = ""

    @property
    def facts(self) -> dict[str, Any]:
        """Give it as plain values, one line of `--json`."""
        return {
            "time": stamp(self.time),
            "step": self.step.row.name,
            "nodes": list(self.step.nodes),
            "state": self.state,
            "seconds": round(self.seconds, 1),
            **({"message": self.message} if self.message else {}),
        }


class Engine:
    """Carries out steps at one cluster, as the holder of its launch lock."""

    def __init__(self, site: Site, lock: LaunchLock, watch: Watch, tell: Callable[[Event], None]) -> None:
        self._site = site
        self._lock = lock
        self._watch = watch
        self._tell = tell

    def run(self, steps: Sequence[Step]) -> None:
        """Carry out what is not done yet.

        Raises:
            Problem: a step failed or took too long; those after it were not begun.
            Problems: something forbids a step.
        """
        for step in steps:
            begun = self._site.clock.now()
            try:
                state = self._carry_out(step, begun)
            except BaseException as error:
                self._say(step, "failed", begun, str(error) or type(error).__name__)
                raise
            self._say(step, state, begun)

    def _carry_out(self, step: Step, begun: datetime) -> State:
        row, site = step.row, self._site
        state: State = "passed"
        pauses = chain(QUICK if row.quick else (), repeat(TICK))
        while True:
            try:
                awaited = row.awaited(site, step.nodes)
                if awaited and state == "passed":
                    raise_all(row.guard(site, step.nodes))
                    self._say(step, state := "begun", begun)
                if awaited:
                    self._lock.keep()
                    row.doing(site, step.nodes)
                    self._watch.show(site)
                    awaited = row.awaited(site, step.nodes)
            except NotYet as reason:
                awaited = f"{reason.where}: {reason.message}"
            if not awaited:
                return "passed" if state == "passed" else "done"
            self._watch.stop_on_failure(site, step.nodes)
            self._watch.stop_when_late(site, awaited)
            if row.patience is not None and site.clock.now() - begun > row.patience:
                message = (
                    f"{row.name}: time is up after {row.patience.total_seconds():.0f} s, still waiting for {awaited}"
                )
                raise Problem(message, where=", ".join(step.nodes), hint=row.hint)
            site.clock.sleep(next(pauses))
            site.look()

    def _say(self, step: Step, state: State, begun: datetime, message: str = "") -> None:
        now = self._site.clock.now()
        self._tell(Event(step, state, now, (now - begun).total_seconds(), message))
