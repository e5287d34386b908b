"""Chooses of a timeline with many nodes those lanes that tell most, and sums up the others; pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from statistics import median

from generator.cluster import crowd
from generator.cluster.node_report import Span
from generator.cluster.timeline import LAUNCH, Lane, Timeline

MOST_LANES, CHOSEN = 12, 6
"""Of more nodes, so many are shown."""


def brief(timeline: Timeline) -> Timeline:
    """Leave out lanes where there are many: the launch stays, and those of nodes that are not up or came up last."""
    lanes = [replace(lane, spans=tuple(_merged(lane.spans))) for lane in timeline.lanes if lane.name == LAUNCH]
    nodes = _nodes(timeline)
    if len(nodes) <= MOST_LANES:
        return timeline
    late = sorted(nodes, key=lambda lane: (not _is_open(lane), -_last(lane, timeline)))
    chosen = {lane.name for lane in late[:CHOSEN]}
    return replace(timeline, lanes=(*lanes, *(lane for lane in nodes if lane.name in chosen)))


def rest(timeline: Timeline) -> Iterator[str]:
    """Say of each step how long all nodes took for it, where there are many; none where `brief` leaves out none."""
    nodes = _nodes(timeline)
    if len(nodes) <= MOST_LANES:
        return
    yield f"of all {len(nodes)} nodes, in seconds; `--json` has each"
    took: dict[str, list[tuple[float, str]]] = {}
    for lane in nodes:
        for span in lane.spans:
            if span.ended is not None:
                took.setdefault(span.name, []).append(((span.ended - span.began).total_seconds(), lane.name))
    width = max(map(len, took), default=0)
    for name, each in took.items():
        least, most = min(each), max(each)
        middle = median(seconds for seconds, _ in each)
        yield f"{name:<{width}} {least[0]:6.1f} to {most[0]:6.1f} ({most[1]}), half of them {middle:.1f} or less"


def _nodes(timeline: Timeline) -> list[Lane]:
    return [lane for lane in timeline.lanes if lane.name != LAUNCH]


def _merged(spans: Sequence[Span]) -> Iterator[Span]:
    """Join a launch's steps of one sort, where there are many: they are named by what is done, and to what."""
    for same in crowd.alike(spans, lambda span: span.name.rpartition(" ")[0]):
        if len(same) <= crowd.LINES:
            yield from same
        else:
            ended = same[-1].ended
            yield replace(same[0], name=crowd.named([span.name for span in same]), ended=ended, waits=())


def _is_open(lane: Lane) -> bool:
    return any(span.ended is None for span in lane.spans)


def _last(lane: Lane, timeline: Timeline) -> float:
    return max(timeline.second(span.ended or span.began) for span in lane.spans)
