"""Shows how far the nodes are while a verb works, and stops it when a phase stays failed or time is up."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from generator.cluster import readiness
from generator.cluster.kinds.kind import Case
from generator.cluster.phase_table import PhaseTable, last_words, rows
from generator.cluster.site import Site
from generator.errors import raise_all

PATIENCE = timedelta(seconds=90)
"""How long a phase may be failed before it counts: its unit may be started again, some once a minute."""
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
                f"{node}: {failure.unit}",
                f"{node}: {failure.unit} failed: {failure.lines[-1] if failure.lines else 'it said nothing'}",
            )
        for node, lines in readiness.unheard(case).items():
            self._once(f"{node}: nothing", *lines)
        for node, lines in readiness.unwell(case).items():
            if node not in site.leaving:
                self._once(f"{node}: unwell", *lines)
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
            problems = [readiness.given_up(name, case.observed.reports[name]) for name in given_up]
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

    def _once(self, key: str, *lines: str) -> None:
        if key not in self._said:
            self._said.add(key)
            for line in lines:
                self._table.say(line)

    def _explain(self, case: Case) -> None:
        """Show of each node that is not up what it said last."""
        for row in rows(case.plan, case.observed):
            report = readiness.own_report(row.node, case)
            if report is None:
                self._table.say(f"{row.node}: {row.now}, and has reported nothing")
            elif not report.progress.complete or case.observed.ready is None:
                for line in last_words(row.node, report.progress):
                    self._table.say(line)
