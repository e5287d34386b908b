"""What a launch keeps of itself is read again; whatever else lies there shows nothing and harms nobody."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from generator.clock import Clock
from generator.cluster import trail
from generator.cluster.node_report import Span

ZERO = datetime(2026, 11, 22, 8, 30, tzinfo=UTC)


class Server:
    """An API server that keeps one ConfigMap."""

    address = "203.0.113.7"

    def __init__(self, data: Mapping[str, str] | None = None) -> None:
        self.kept = data

    def data(self, _: str) -> Mapping[str, str] | None:
        return self.kept

    def request(self, method: str, _: str, body: Any, *, kind: str = "") -> tuple[int, bytes]:
        if self.kept is None:
            return 404, b""
        self.kept = body["data"]
        return 200, b""

    def create(self, _: str, body: Any) -> bool:
        self.kept = body["data"]
        return True


@pytest.mark.parametrize("before", [None, {"steps": "[]"}])
def test_steps_are_read_as_they_were_kept(before: Mapping[str, str] | None) -> None:
    moments = iter(ZERO + timedelta(seconds=number) for number in range(10))
    made = trail.Trail(Clock(now=lambda: next(moments)))
    with made.step("create vpc orderbook"):
        pass
    with pytest.raises(ValueError, match="refused"), made.step("create droplet node01"):
        raise ValueError("refused")
    server: Any = Server(before)
    made.keep(server)
    assert trail.read(server) == (
        Span("create vpc orderbook", ZERO, ZERO + timedelta(seconds=1)),
        Span("create droplet node01", ZERO + timedelta(seconds=2), ZERO + timedelta(seconds=3)),
    )


@pytest.mark.parametrize(
    "steps",
    [
        "",
        "{",
        "7",
        "{}",
        "[7]",
        "[{}]",
        '[{"name": "a", "began": "never"}]',
        "[" * 100_000,
        '[{"name": 1, "began": 2}]',
    ],
)
def test_anything_else_is_nothing(steps: str) -> None:
    server: Any = Server({"steps": steps})
    assert trail.read(server) == ()


def test_it_moves_no_cursor_and_has_a_zone() -> None:
    server: Any = Server({"steps": json.dumps([{"name": "a\x1b[31mb", "began": "2026-11-22T08:30:00", "ended": None}])})
    assert trail.read(server) == (Span("a[31mb", ZERO),)
