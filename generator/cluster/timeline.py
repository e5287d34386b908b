"""Puts what the nodes and the last launch say of their steps onto one clock; pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from generator.cluster.matching import placed
from generator.cluster.node_report import Span
from generator.cluster.observed import Observed
from generator.plan.decide import Plan

LAUNCH = "launch"
"""Whose steps are the operator's own."""


@dataclass(frozen=True)
class Lane:
    """All steps of one node, or of the launch, in the order in which they began; `made` is when its droplet was."""

    name: str
    spans: tuple[Span, ...]
    made: datetime | None = None


@dataclass(frozen=True)
class Timeline:
    """The boots of a cluster's nodes; `zero` is the first moment of all, `end` the last."""

    zero: datetime
    end: datetime
    lanes: tuple[Lane, ...]

    def second(self, moment: datetime) -> float:
        """Give the seconds from `zero` on."""
        return (moment - self.zero).total_seconds()

    @property
    def length(self) -> float:
        """Give how many seconds it shows."""
        return self.second(self.end)


def timeline(plan: Plan, observed: Observed, launch: Sequence[Span]) -> Timeline | None:
    """Gather what was told; None where nothing was.

    A launch's steps are shown with those nodes that it made: of nodes that are younger or older than it by an hour, the
    clock would show nothing else.
    """
    here = placed(plan, observed)
    lanes = [Lane(LAUNCH, tuple(launch))] if launch else []
    for node in plan.nodes:
        report, droplet = observed.reports.get(node.name), here.get(node.name)
        if report and droplet and report.is_of(droplet) and report.progress.timeline:
            lanes.append(Lane(node.name, report.progress.timeline, droplet.created))
    if not lanes:
        return None
    latest = max(_first(lane) for lane in lanes)
    shown = [lane for lane in lanes if latest - _first(lane) <= _TOGETHER]
    moments = [moment for lane in shown for span in lane.spans for moment in (span.began, span.ended) if moment]
    return Timeline(min(moments), max(moments), tuple(shown))


_TOGETHER = timedelta(hours=1)


def _first(lane: Lane) -> datetime:
    return min(span.began for span in lane.spans)


def waited_for(lane: Lane, span: Span) -> str | None:
    """Name the step without which this one could not begin: of those that had to be over the one that was last."""
    ends = [one for one in lane.spans if one.name in span.after and one.ended and one.ended <= span.began + _SLACK]
    return max(ends, key=lambda one: one.ended or one.began).name if ends else None


_SLACK = timedelta(milliseconds=250)
"""How much later one may seem to end than the next begins, by systemd's own bookkeeping."""


def reasons(lane: Lane, span: Span) -> Iterator[str]:
    """Say what a step had to wait for: before it began, and while it lasted."""
    if (before := waited_for(lane, span)) is not None:
        yield f"after {before}"
    for wait in span.waits:
        yield f"waited {(wait.ended - wait.began).total_seconds():.1f} s: {wait.cause}"
