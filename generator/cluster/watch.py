"""Shows how far the nodes are while a verb works, and stops it when a phase stays failed or time is up."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from generator.cluster import readiness
from generator.cluster.kinds.kind import Case
from generator.cluster.phase_table import MOST_ROWS, PhaseTable, by_urgency, last_words, rows
from generator.cluster.site import Site
from generator.errors import Problem, raise_all

PATIENCE = timedelta(seconds=90)
"""How long a phase may be failed before it counts: its unit may be started again, some once a minute."""
MOST_TOLD = 16
"""So many nodes of a crowd are told of in full."""
OTHERS = "more nodes have trouble: `gen status` shows how all are, with `--json` each"
UNREACHABLE = timedelta(minutes=3)
"""How long no API server may answer although every node reports that it is up."""


class Watch:
    """Watches one run of a verb until `deadline`."""

    def __init__(self, table: PhaseTable, deadline: datetime) -> None:
        self._table = table
        self._deadline = deadline
        self._said: set[str] = set()
        self._failed: dict[str, datetime] = {}
        self._unreachable_since: datetime | None = None

    def show(self, site: Site) -> None:
        """Show how far the nodes are, and once for each unit that failed and is tried again its last line."""
        case = site.case
        for node in case.observed.reports:
            report = readiness.own_report(node, case)
            failure = report.progress.failure if report else None
            if failure is None or node in site.leaving:
                continue
            self._once(
                site,
                f"{node}: {failure.unit}",
                f"{node}: {failure.unit} failed: {failure.lines[-1] if failure.lines else 'it said nothing'}",
            )
        for node, lines in readiness.unheard(case).items():
            self._once(site, f"{node}: nothing", *lines)
        for node, lines in readiness.unwell(case).items():
            if node not in site.leaving:
                self._once(site, f"{node}: unwell", *lines)
        self._table.show(rows(case.plan, case.observed), case.observed.time)

    def stop_on_failure(self, site: Site, besides: Collection[str] = ()) -> None:
        """Give up when a phase stays failed.

        Args:
            besides: nodes that are worked on just now, whatever ails them.

        Raises:
            Problems: one for each such node; what it said was shown.
        """
        case = site.case
        now = case.observed.time
        failed = [name for name in readiness.failed(case) if name not in site.leaving and name not in besides]
        self._failed = {name: self._failed.get(name, now) for name in failed}
        given_up = [name for name, since in self._failed.items() if now - since >= PATIENCE]
        if given_up:
            self._explain(case)
            problems = [readiness.given_up(name, case.observed.reports[name]) for name in given_up[:MOST_TOLD]]
            if len(given_up) > MOST_TOLD:
                problems.append(Problem(f"a phase of {len(given_up) - MOST_TOLD} more nodes failed", hint=OTHERS))
            raise_all(problems if case.observed.ready is not None else [*problems, readiness.late(case)])

    def stop_when_late(self, site: Site, awaited: str) -> None:
        """Give up when time is up, or when all nodes say that they are up and yet no API server answers for long.

        Args:
            awaited: what the step waits for, told where all nodes are up.

        Raises:
            Problem: says what was waited for.
        """
        case = site.case
        now = case.observed.time
        if case.observed.ready is not None or not readiness.all_say_that_they_are_up(case):
            self._unreachable_since = None
        else:
            self._unreachable_since = self._unreachable_since or now
        is_unreachable = self._unreachable_since is not None and now - self._unreachable_since >= UNREACHABLE
        if site.clock.now() > self._deadline or is_unreachable:
            self._explain(case)
            raise readiness.late(case, awaited)

    def _once(self, site: Site, key: str, *lines: str) -> None:
        """Say something for the first time; of a crowd no more than anybody reads."""
        if key in self._said:
            return
        self._said.add(key)
        if len(site.plan.nodes) <= MOST_ROWS or len(self._said) <= MOST_TOLD:
            for line in lines:
                self._table.say(line)
        elif len(self._said) == MOST_TOLD + 1:
            self._table.say(OTHERS)

    def _explain(self, case: Case) -> None:
        """Show of each node that is not up what it said last."""
        told = 0
        for row in by_urgency(rows(case.plan, case.observed)):
            report = readiness.own_report(row.node, case)
            if report is not None and report.progress.complete and case.observed.ready is not None:
                continue
            told += 1
            if len(case.plan.nodes) > MOST_ROWS and told > MOST_TOLD:
                self._table.say(OTHERS)
                return
            silent = (f"{row.node}: {row.now}, and has reported nothing",)
            for line in last_words(row.node, report.progress) if report else silent:
                self._table.say(line)
