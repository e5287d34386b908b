"""Prints a timeline: a line for each step, with its bar, what it came after and what it waited for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from generator.cluster.node_report import Span
from generator.cluster.timeline import Lane, Timeline, reasons, waited_for

BAR = 60
WORK, WAIT, NOTHING = "█", "░", " "


def lines(timeline: Timeline) -> Iterator[str]:
    """Give the lines; a bar's light parts are waits that the step knows of, its dark ones are the rest."""
    scale = max(timeline.length, 0.1) / BAR
    names = max(len(span.name) for lane in timeline.lanes for span in lane.spans)
    lanes = max(len(lane.name) for lane in timeline.lanes)
    yield f"0 s is {timeline.zero:%Y-%m-%dT%H:%M:%SZ}; one column is {scale:.2f} s; {WORK} works, {WAIT} waits"
    for lane in timeline.lanes:
        for span in lane.spans:
            began = timeline.second(span.began)
            ended = timeline.second(span.ended) if span.ended else timeline.length
            mark = f"{ended - began:5.1f}" if span.ended else "  ..."
            why = ", ".join(reasons(lane, span))
            row = f"{lane.name:<{lanes}} {span.name:<{names}} {began:6.1f} {mark} {_bar(timeline, span, scale)} {why}"
            yield row.rstrip()


def facts(timeline: Timeline) -> dict[str, Any]:
    """Give the same as plain values; seconds count from `zero`."""
    return {
        "zero": timeline.zero.isoformat(),
        "seconds": round(timeline.length, 3),
        "lanes": [
            {"name": lane.name, "steps": [_facts(timeline, lane, span) for span in lane.spans]}
            for lane in timeline.lanes
        ],
    }


def _facts(timeline: Timeline, lane: Lane, span: Span) -> dict[str, Any]:
    return {
        "name": span.name,
        "began": round(timeline.second(span.began), 3),
        "ended": round(timeline.second(span.ended), 3) if span.ended else None,
        "after": waited_for(lane, span),
        "waits": [
            {
                "began": round(timeline.second(one.began), 3),
                "ended": round(timeline.second(one.ended), 3),
                "for": one.cause,
            }
            for one in span.waits
        ],
    }


def _bar(timeline: Timeline, span: Span, scale: float) -> str:
    began = timeline.second(span.began)
    ended = timeline.second(span.ended) if span.ended else timeline.length
    first, last = int(began / scale), max(int(ended / scale), int(began / scale) + 1)
    cells = [NOTHING] * BAR
    for cell in range(first, min(last, BAR)):
        cells[cell] = WORK
    for wait in span.waits:
        for cell in range(int(timeline.second(wait.began) / scale), int(timeline.second(wait.ended) / scale)):
            if first <= cell < min(last, BAR):
                cells[cell] = WAIT
    return "".join(cells)
