"""Draws the races as a picture that needs nothing beside it: a bar a milestone and side, and a dot each run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from statistics import median

from tests.race.table import MILESTONES, SIDES, Race

NAMES, WIDTH, ROW, HEAD = 190, 700, 18, 46
"""In pixels: the column of names, the bars' room, a row, and the head of a race with its clock."""
COLOURS = {"kubeadm": "#b0a48a", "hardway": "#2f6f9f", "grid": "#d8d8d8", "text": "#222222", "run": "#222222"}
TICKS = (5, 10, 20, 30, 60, 120)
MOST_TICKS = 12


def drawing(races: Sequence[Race]) -> str:
    """Give the picture, on one scale, from the first machine's start."""
    longest = max((run.since_start(one) for race in races for run in race.runs for one in MILESTONES), default=1.0)
    height_of_a_race = HEAD + len(MILESTONES) * len(SIDES) * ROW + 12
    height = height_of_a_race * len(races) + 4
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{NAMES + WIDTH + 70}" height="{height}" '
        f'font-family="sans-serif" font-size="11" fill="{COLOURS["text"]}">',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
    ]
    for number, race in enumerate(races):
        lines += _race(race, number * height_of_a_race, longest)
    return "\n".join([*lines, "</svg>", ""])


def _race(race: Race, top: int, longest: float) -> Iterator[str]:
    title = escape(f"{race.title.replace('`', '')}, from the first machine's start")
    yield f'<text x="6" y="{top + 16}" font-size="13" font-weight="bold">{title}</text>'
    bottom = top + HEAD + len(MILESTONES) * len(SIDES) * ROW
    tick = next((one for one in TICKS if longest / one <= MOST_TICKS), TICKS[-1])
    for second in range(0, int(longest) + 1, tick):
        x = _x(second, longest)
        yield f'<line x1="{x}" y1="{top + HEAD - 8}" x2="{x}" y2="{bottom}" stroke="{COLOURS["grid"]}"/>'
        yield f'<text x="{x}" y="{top + HEAD - 12}" text-anchor="middle">{second} s</text>'
    y = top + HEAD
    for milestone, name in MILESTONES.items():
        for side in SIDES:
            yield from _row(race, side, milestone, name if side == SIDES[0] else "", y, longest)
            y += ROW


def _row(race: Race, side: str, milestone: str, name: str, y: int, longest: float) -> Iterator[str]:
    if name:
        yield f'<text x="6" y="{y + 12}">{escape(name)}</text>'
    values = [run.since_start(milestone) for run in race.of(side)]
    if not values:
        return
    end = _x(median(values), longest)
    told = f"{side}, {MILESTONES[milestone]}: {', '.join(f'{value:.1f} s' for value in values)}"
    yield f"<g><title>{escape(told)}</title>"
    yield f'<rect x="{NAMES}" y="{y + 1}" width="{end - NAMES:.1f}" height="{ROW - 3}" fill="{COLOURS[side]}"/>'
    for value in values:
        yield f'<circle cx="{_x(value, longest)}" cy="{y + ROW / 2 - 0.5}" r="2.5" fill="{COLOURS["run"]}"/>'
    beyond = max(_x(value, longest) for value in values) + 7
    yield f'<text x="{beyond:.1f}" y="{y + 12}">{median(values):.1f} {side}</text></g>'


def _x(second: float, longest: float) -> float:
    return round(NAMES + second / longest * (WIDTH - 40), 1)
