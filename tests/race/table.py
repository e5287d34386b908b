"""Keeps what was measured, and shows it: on a terminal, and as a section of `docs/performance.md`."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from rich.table import Table

ROOT = Path(__file__).parents[2]
FILE = Path(__file__).with_name("measured.json")
PAGE = ROOT / "docs" / "performance.md"
PICTURE = ROOT / "docs" / "performance-race.svg"
SIDES = ("kubeadm", "hardway")
MILESTONES = {
    "api": "API up",
    "ready": "all Nodes Ready",
    "pods": "all pods ready",
    "served": "order placed by each node",
}
BEGIN, END = "<!-- race: written by scripts/race --keep -->", "<!-- end of race -->"
WORDS = Path(__file__).with_name("section.md")
"""What the section says around its tables."""


@dataclass(frozen=True)
class Run:
    """One boot.

    Args:
        side: who booted it.
        start: seconds from the command to the first machine's start.
        seconds: milestone to seconds from the command.
        processors: seconds of processors that all droplets used until the last milestone.
        fetched: bytes that were sent to them until then.
    """

    side: str
    start: float
    seconds: Mapping[str, float]
    processors: float
    fetched: int

    def since_start(self, milestone: str) -> float:
        """Give the seconds from the first machine's start to a milestone."""
        return self.seconds[milestone] - self.start


@dataclass(frozen=True)
class Race:
    """All boots of one shape; `datapath` is hardway's."""

    nodes: int
    cni: str
    datapath: str
    machine: str
    day: str
    runs: tuple[Run, ...] = field(default=())

    @property
    def title(self) -> str:
        """Name it."""
        nodes = "1 node" if self.nodes == 1 else f"{self.nodes} nodes"
        return f"{nodes}, `{self.cni}`"

    def of(self, side: str) -> tuple[Run, ...]:
        """Give a side's boots."""
        return tuple(run for run in self.runs if run.side == side)


def this_machine() -> str:
    """Describe the machine that this runs on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} processors, {memory:.0f} GiB, Linux {platform.release().partition('-')[0]}"


def today() -> str:
    """Give the day."""
    return datetime.now(UTC).date().isoformat()


Value = Callable[[Run], float]


def rows() -> dict[str, tuple[Value, str]]:
    """Give what is shown of a run: title to value and unit."""

    def start(milestone: str) -> Value:
        return lambda run: run.since_start(milestone)

    def command(milestone: str) -> Value:
        return lambda run: run.seconds[milestone]

    found: dict[str, tuple[Value, str]] = {}
    for name, title in MILESTONES.items():
        found[f"from the first machine's start: {title}"] = (start(name), "s")
    for name, title in MILESTONES.items():
        found[f"from the command: {title}"] = (command(name), "s")
    found["processors' seconds of all droplets"] = (lambda run: run.processors, "s")
    found["fetched by all droplets"] = (lambda run: run.fetched / 2**20, "MiB")
    return found


def cells(race: Race) -> list[tuple[str, ...]]:
    """Give the table's rows: title, kubeadm's figure, hardway's, and how many times hardway's the first is."""
    found = []
    for title, (value, unit) in rows().items():
        of = {side: [value(run) for run in race.of(side)] for side in SIDES}
        ratio = f"{median(of['kubeadm']) / median(of['hardway']):.2f}" if all(of.values()) else "–"
        found.append((title, *(figure(of[side], unit) for side in SIDES), ratio))
    return found


def figure(values: Sequence[float], unit: str) -> str:
    """Show values as one: their median, and between what they lie where there are several.

    >>> figure([3.04, 1, 2.5], "s"), figure([2.0], "MiB"), figure([], "s")
    ('2.5 s (1.0–3.0)', '2 MiB', '–')
    """
    digits = 1 if unit == "s" else 0
    if not values:
        return "–"
    text = f"{median(values):,.{digits}f} {unit}"
    return text if len(values) == 1 else f"{text} ({min(values):,.{digits}f}–{max(values):,.{digits}f})"


def table(race: Race) -> Table:
    """Show a race on a terminal."""
    shown = Table(race.title, *SIDES, "kubeadm ÷ hardway", show_lines=True)
    for row in cells(race):
        shown.add_row(*row)
    return shown


def section(races: Iterable[Race]) -> str:
    """Write the section of the page, with its marks."""
    text = ""
    for race in _ordered(races):
        times = " and ".join(f"{len(race.of(side))} × {side}" for side in SIDES)
        text += f"### {race.title[0].upper()}{race.title[1:]}\n\n"
        text += f"{times}, hardway's datapath `{race.datapath}`; {race.machine}; {race.day}.\n\n"
        lines = [f"| | {' | '.join(SIDES)} | kubeadm ÷ hardway |", "|---|---|---|---|"]
        lines += [f"| {' | '.join(row)} |" for row in cells(race)]
        text += "\n".join(lines) + "\n\n"
    return f"{BEGIN}\n{WORDS.read_text().replace('@TABLES@', text.rstrip())}{END}\n"


def page(text: str, races: Iterable[Race]) -> str:
    """Put the section into a page, in place of the one that it has, else at its end."""
    fresh = section(races)
    before, mark, rest = text.partition(BEGIN)
    if not mark:
        return f"{text.rstrip()}\n\n{fresh}" if text.strip() else fresh
    after = rest.partition(f"{END}\n")[2]
    return f"{before}{fresh}{after}"


def read() -> list[Race]:
    """Read what was measured before."""
    return [_race(each) for each in json.loads(FILE.read_text())] if FILE.exists() else []


def keep(race: Race) -> list[Race]:
    """Keep a race in place of the one of its shape that was there, and write the page's section; give all."""
    shape = (race.nodes, race.cni)
    races = _ordered([*(each for each in read() if (each.nodes, each.cni) != shape), race])
    FILE.write_text(json.dumps([asdict(each) for each in races], indent=1, ensure_ascii=False) + "\n")
    PAGE.write_text(page(PAGE.read_text() if PAGE.exists() else "# Performance\n", races))
    return races


def joined(race: Race, run: Run) -> Race:
    """Add a boot."""
    return replace(race, runs=(*race.runs, run))


def _ordered(races: Iterable[Race]) -> list[Race]:
    return sorted(races, key=lambda race: (-race.nodes, race.cni))


def _race(value: Mapping[str, object]) -> Race:
    runs = value["runs"]
    assert isinstance(runs, list)
    others = {name: part for name, part in value.items() if name != "runs"}
    return Race(**others, runs=tuple(Run(**run) for run in runs))  # type: ignore[arg-type]
