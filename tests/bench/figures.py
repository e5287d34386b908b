"""Keeps what was timed as ratios, and says what has become worse by more than the noise."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from rich.table import Table

FILE = Path(__file__).with_name("measured.json")
LEAST_NOISE = 0.05
"""What two or three runs show of the noise is less than there is."""


@dataclass(frozen=True)
class Figure:
    """One thing that was timed: its seconds run by run, and beside each those of the yardstick just before."""

    name: str
    seconds: tuple[float, ...]
    yardsticks: tuple[float, ...]

    @property
    def ratios(self) -> tuple[float, ...]:
        """Give what each run took in yardsticks."""
        return tuple(took / stick for took, stick in zip(self.seconds, self.yardsticks, strict=True))

    @property
    def ratio(self) -> float:
        """Give the run in the middle."""
        return median(self.ratios)

    @property
    def noise(self) -> float:
        """Give how far its runs are apart, as a share of the middle."""
        return max(LEAST_NOISE, (max(self.ratios) - min(self.ratios)) / self.ratio)


@dataclass(frozen=True)
class Verdict:
    """How a figure is beside the one that was kept; `change` is 0.1 where it takes a tenth longer."""

    figure: Figure
    kept: Figure | None

    @property
    def change(self) -> float | None:
        """Give how much longer it takes than it did, as a share."""
        return None if self.kept is None else self.figure.ratio / self.kept.ratio - 1

    @property
    def noise(self) -> float:
        """Give what may be chance: the larger of both runs' noises."""
        return max(self.figure.noise, self.kept.noise if self.kept else 0)

    @property
    def word(self) -> str:
        """Say it in a word."""
        if self.change is None:
            return "new"
        return "worse" if self.change > self.noise else "better" if self.change < -self.noise else "same"


def compare(figures: Sequence[Figure], kept: Mapping[str, Figure]) -> tuple[Verdict, ...]:
    """Hold every figure beside the one that was kept under its name."""
    return tuple(Verdict(figure, kept.get(figure.name)) for figure in figures)


def read(file: Path = FILE) -> dict[str, Figure]:
    """Read the figures that were kept, by name."""
    if not file.exists():
        return {}
    values = json.loads(file.read_text())
    return {one["name"]: Figure(one["name"], tuple(one["seconds"]), tuple(one["yardsticks"])) for one in values}


def keep(figures: Sequence[Figure], file: Path = FILE) -> None:
    """Keep figures in place of those with their names."""
    together = read(file) | {figure.name: figure for figure in figures}
    values = [
        {
            "name": figure.name,
            "ratio": round(figure.ratio, 3),
            "seconds": [round(each, 3) for each in figure.seconds],
            "yardsticks": [round(each, 3) for each in figure.yardsticks],
        }
        for figure in together.values()
    ]
    file.write_text(json.dumps(values, indent=1) + "\n")


def table(verdicts: Sequence[Verdict]) -> Table:
    """Show the verdicts on a terminal."""
    shown = Table("what", "seconds", "in yardsticks", "kept", "change", "noise", "")
    for verdict in verdicts:
        shown.add_row(*_cells(verdict), style="red" if verdict.word == "worse" else "")
    return shown


def _cells(verdict: Verdict) -> Iterator[str]:
    yield verdict.figure.name
    yield f"{median(verdict.figure.seconds):.1f}"
    yield f"{verdict.figure.ratio:.2f}"
    yield f"{verdict.kept.ratio:.2f}" if verdict.kept else "–"
    yield f"{verdict.change:+.0%}" if verdict.change is not None else "–"
    yield f"{verdict.noise:.0%}"
    yield verdict.word
