"""Keeps what a launch did and when, in the cluster itself, so that it can be shown beside what the nodes say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from generator.bounded import parse_json
from generator.clock import Clock
from generator.cluster.channel import NAMESPACE, PLACE
from generator.cluster.kube_api import Kube, NotYet
from generator.cluster.kube_objects import changed
from generator.cluster.node_report import Span, read_spans

NAME = "launch"
MOST = 400


class Trail:
    """The steps of one verb, each with its begin and end by this machine's clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._spans: list[Span] = []

    @property
    def spans(self) -> tuple[Span, ...]:
        """Give the steps so far."""
        return tuple(self._spans)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Note a step, also one that fails; of a verb that goes on for ever the first are kept."""
        began = self._clock.now()
        try:
            yield
        finally:
            if len(self._spans) < MOST:
                self._spans.append(Span(name, began, self._clock.now()))

    def keep(self, server: Kube) -> None:
        """Put it in the place of the last one; a server that does not take it now is no fault of the launch."""
        steps = [
            {"name": one.name, "began": one.began.isoformat(), "ended": one.ended.isoformat() if one.ended else None}
            for one in self._spans
        ]
        data = {"steps": json.dumps(steps)}
        body = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": NAME, "namespace": NAMESPACE},
            "data": data,
        }
        try:
            if not changed(server, f"{PLACE}/{NAME}", {"data": data}):
                server.create(PLACE, body)
        except NotYet:
            return


def read(server: Kube) -> tuple[Span, ...]:
    """Give the steps of the last launch that made something; none where nobody kept them.

    Control-plane nodes may write there as well, so it is distrusted as a node's report is.
    """
    try:
        return read_spans(parse_json((server.data(f"{PLACE}/{NAME}") or {}).get("steps", "[]").encode()), MOST)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return ()
