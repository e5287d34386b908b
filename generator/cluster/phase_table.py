"""Shows how far the nodes are: a live table on a terminal, one line for each change elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Self

from generator.cluster import crowd
from generator.cluster.matching import placed
from generator.cluster.node_report import PHASES, Progress
from generator.cluster.observed import Observed
from generator.plain_text import clean
from generator.plan.decide import Plan

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live
    from rich.table import Table

MARKS = {"waiting": "·", "running": "▸", "done": "✓", "failed": "✗"}
WIDE = 106
"""From this width on each phase has a column of its own."""
MOST_ROWS, FAILED_ROWS = 24, 8
"""More nodes share rows, but for a few that failed."""
COLOURS = {"waiting": "dim", "running": "yellow", "done": "green", "failed": "bold red"}


@dataclass(frozen=True)
class Row:
    """One node as it is shown; `states` has the state of each phase that the node has."""

    node: str
    states: tuple[tuple[str, str], ...]
    now: str
    since: datetime | None


def rows(plan: Plan, observed: Observed) -> tuple[Row, ...]:
    """Tell of each node what it is at, by its own report or, before there is one, by its droplet."""
    here = placed(plan, observed)
    shown = []
    for node in plan.nodes:
        droplet = here.get(node.name)
        report = observed.reports.get(node.name)
        if droplet is None:
            shown.append(Row(node.name, (), "no droplet", None))
        elif report is None or not report.is_of(droplet):
            shown.append(Row(node.name, (), f"droplet is {droplet.status}", droplet.created))
        else:
            progress = report.progress
            current = progress.current
            words = "done" if current is None else f"{current.name} {current.state}"
            if progress.failure and current and current.state == "running":
                words = f"{current.name} failed, tries again"
            since = report.at if current is None else current.since
            shown.append(Row(node.name, tuple((one.name, one.state) for one in progress.phases), words, since))
    return tuple(shown)


def condensed(shown: Sequence[Row], most: int = MOST_ROWS) -> tuple[Row, ...]:
    """Show many nodes in few rows: what failed first, then who is furthest behind; alike nodes share a row."""
    if len(shown) <= most:
        return tuple(shown)
    groups = sorted(crowd.alike(shown, lambda row: (row.states, row.now)), key=lambda same: _urgency(same[0]))
    found: list[Row] = []
    for same in groups:
        alone = same if _urgency(same[0])[0] < 2 and len(same) <= FAILED_ROWS else []
        since = min((row.since for row in same if row.since), default=None)
        together = replace(same[0], node=crowd.named([row.node for row in same]), since=since)
        found += alone or [together]
    if len(found) <= most:
        return tuple(found)
    left = len(shown) - sum(len(same) for same in groups[: most - 1])
    return (*found[: most - 1], Row(f"{left} more", (), "at other steps", None))


def by_urgency(shown: Sequence[Row]) -> Sequence[Row]:
    """Put those first that failed, where they are too many to read them all."""
    return sorted(shown, key=_urgency) if len(shown) > MOST_ROWS else shown


def summed(shown: Sequence[Row]) -> str:
    """Tell in one line how many nodes are at what, what failed first."""
    groups = sorted(crowd.alike(shown, lambda row: row.now), key=lambda same: _urgency(same[0]))
    return f"{len(shown)} nodes: " + ", ".join(f"{len(same)} {same[0].now}" for same in groups)


def _urgency(row: Row) -> tuple[int, int]:
    """Give the order of rows: failed, failing, not up, up; of each those first that have the least behind them."""
    behind = sum(state == "done" for _, state in row.states)
    if any(state == "failed" for _, state in row.states):
        return 0, behind
    if "failed" in row.now:
        return 1, behind
    return 3 if row.now == "done" else 2, behind


def last_words(node: str, progress: Progress) -> tuple[str, ...]:
    """Tell what a node says of its failure: the unit and the end of its log."""
    current = progress.current
    unit = (progress.failure.unit if progress.failure else "") or (current.unit if current else "")
    head = f"{node}: {current.name} {current.state}" if current else f"{node}: done"
    lines = progress.failure.lines if progress.failure else ()
    return (f"{head}, unit {unit}" if unit else head, *(f"  {node} | {line}" for line in lines))


def age(since: datetime | None, now: datetime) -> str:
    """Show how long something lasts.

    >>> age(datetime(2026, 1, 1, 0, 0), datetime(2026, 1, 1, 0, 1, 5))
    '1m05s'
    """
    if since is None:
        return ""
    seconds = max(0, int((now - since).total_seconds()))
    if seconds >= 2 * 86_400:
        return f"{seconds // 86_400}d"
    if seconds >= 3600:
        return f"{seconds // 3600}h{seconds % 3600 // 60:02}m"
    return f"{seconds // 60}m{seconds % 60:02}s" if seconds >= 60 else f"{seconds}s"


class PhaseTable:
    """Shows a launch on stderr; everything that a node or the provider said passes through `clean`."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._last: dict[str, Row] = {}
        self._summed = ""
        self.head: Callable[[], str] | None = None
        """Gives what a terminal shows above the nodes."""

    def __enter__(self) -> Self:
        """Begin to show."""
        if self._console.is_terminal:
            from rich.live import Live

            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Leave the last state on the screen."""
        if self._live is not None:
            self._live.stop()
            if self._last:
                self._console.print(_table(condensed(tuple(self._last.values())), None, self._console.width))

    def say(self, text: str) -> None:
        """Show one line that stays."""
        self._console.print(clean(text), markup=False, highlight=False, soft_wrap=True)

    def show(self, shown: Sequence[Row], now: datetime) -> None:
        """Show the nodes' phases."""
        if self._live is not None:
            self._live.update(self._framed(_table(condensed(shown), now, self._console.width)), refresh=True)
        else:
            changed = [row for row in shown if (before := self._last.get(row.node)) is None or before.now != row.now]
            for line in self._crowded(shown, changed) if len(shown) > MOST_ROWS else map(self._changed, changed):
                self.say(line)
        self._last = {row.node: row for row in shown}

    def _changed(self, row: Row) -> str:
        return f"{row.node}: {row.now}{_after(self._last.get(row.node), row)}"

    def _crowded(self, shown: Sequence[Row], changed: Sequence[Row]) -> Iterator[str]:
        """Tell how many nodes are at what, where that is news, and who has failed."""
        if (line := summed(shown)) != self._summed:
            self._summed = line
            yield line
        for same in crowd.alike((row for row in changed if "failed" in row.now), lambda row: row.now):
            if len(same) <= FAILED_ROWS:
                yield from map(self._changed, same)
            else:
                yield f"{crowd.named([row.node for row in same], FAILED_ROWS)}: {same[0].now}"

    def _framed(self, table: Table) -> RenderableType:
        from rich.console import Group
        from rich.text import Text

        return table if self.head is None else Group(Text(self.head(), no_wrap=True), Text(""), table)


def _after(before: Row | None, row: Row) -> str:
    """Tell how long the step before took."""
    if before is None or before.since is None or row.since is None or row.since <= before.since:
        return ""
    return f" ({before.now} took {age(before.since, row.since)})"


def _table(shown: Sequence[Row], now: datetime | None, width: int) -> Table:
    from rich.table import Table
    from rich.text import Text

    named = {name for row in shown for name, _ in row.states}
    columns = [name for name in PHASES if name in named] if width >= WIDE else []
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in ("node", *(columns or ("phases",)), "now"):
        table.add_column(heading, header_style="dim", no_wrap=True)
    for row in shown:
        states = {name: Text(MARKS[state], COLOURS[state]) for name, state in row.states}
        marks = [states.get(name, Text("")) for name in columns] or [Text.assemble(*states.values())]
        since = f", {age(row.since, now)}" if now and row.since else ""
        table.add_row(row.node, *marks, Text(f"{row.now}{since}"))
    return table
