"""Draws a timeline as a picture that needs nothing beside it."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from generator.cluster.timeline import Timeline, reasons

NAMES, WIDTH, ROW, HEAD = 190, 760, 16, 28
"""In pixels: the column of names, the bars' room, a row, and the head with its clock."""
COLOURS = {"launch": "#7a5195", "node": "#2f6f9f", "wait": "#d9a441", "grid": "#d8d8d8", "text": "#222222"}
TICKS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600)
MOST_TICKS = 16


def drawing(timeline: Timeline) -> str:
    """Give the picture; who points at a bar is told when it was, and what it waited for."""
    rows = sum(len(lane.spans) + 1 for lane in timeline.lanes)
    height = HEAD + rows * ROW + 8
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{NAMES + WIDTH + 60}" height="{height}" '
            f'font-family="sans-serif" font-size="11" fill="{COLOURS["text"]}">',
            '<rect width="100%" height="100%" fill="#ffffff"/>',
            *_grid(timeline, height),
            *_bars(timeline),
            "</svg>",
            "",
        ]
    )


def _grid(timeline: Timeline, height: int) -> Iterator[str]:
    tick = next((one for one in TICKS if timeline.length / one <= MOST_TICKS), int(timeline.length / MOST_TICKS))
    for second in range(0, int(timeline.length) + 1, tick):
        x = _x(timeline, second)
        yield f'<line x1="{x}" y1="{HEAD - 6}" x2="{x}" y2="{height}" stroke="{COLOURS["grid"]}"/>'
        yield f'<text x="{x}" y="{HEAD - 10}" text-anchor="middle">{second} s</text>'


def _bars(timeline: Timeline) -> Iterator[str]:
    y = HEAD
    for lane in timeline.lanes:
        yield f'<text x="6" y="{y + 12}" font-weight="bold">{escape(lane.name)}</text>'
        y += ROW
        colour = COLOURS.get(lane.name, COLOURS["node"])
        for span in lane.spans:
            began, ended = timeline.second(span.began), timeline.second(span.ended or timeline.end)
            why = "; ".join((f"{span.name}: {began:.1f} to {ended:.1f} s", *reasons(lane, span)))
            yield f'<text x="{NAMES - 8}" y="{y + 12}" text-anchor="end">{escape(span.name[:32])}</text>'
            yield f"<g><title>{escape(why)}</title>{_rect(timeline, began, ended, y, colour)}"
            for wait in span.waits:
                yield _rect(timeline, timeline.second(wait.began), timeline.second(wait.ended), y, COLOURS["wait"])
            x = _x(timeline, ended) + 4
            yield f'<text x="{x}" y="{y + 12}" fill="#777777">{ended - began:.1f}</text></g>'
            y += ROW


def _rect(timeline: Timeline, began: float, ended: float, y: int, colour: str) -> str:
    x = _x(timeline, began)
    width = max(_x(timeline, ended) - x, 1)
    return f'<rect x="{x}" y="{y + 2}" width="{width:.1f}" height="{ROW - 4}" fill="{colour}"/>'


def _x(timeline: Timeline, second: float) -> float:
    return round(NAMES + second / max(timeline.length, 0.1) * WIDTH, 1)
