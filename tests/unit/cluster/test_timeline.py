"""What nodes and a launch say of their steps, on one clock."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from datetime import UTC, datetime, timedelta

import pytest

from generator.cluster.node_report import Span, Wait, clean
from generator.cluster.timeline import Lane, Timeline, reasons, waited_for
from generator.cluster.timeline_svg import MOST_TICKS, drawing
from generator.cluster.timeline_text import BAR, WAIT, WORK, facts, lines

ZERO = datetime(2026, 11, 22, 8, 30, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return ZERO + timedelta(seconds=seconds)


def span(name: str, began: float, ended: float | None, *after: str, waits: tuple[Wait, ...] = ()) -> Span:
    return Span(name, at(began), None if ended is None else at(ended), after, waits)


MESH = span("mesh", 4, 6, "binaries", "secrets")
LANE = Lane(
    "node01",
    (
        span("secrets", 0, 1),
        span("binaries", 0, 4),
        MESH,
        span("kubelet", 6, 12, "mesh", waits=(Wait(at(6), at(9), "the API server is not ready"),)),
        span("addons", 12, None, "kubelet", "gone"),
    ),
)
TIMELINE = Timeline(ZERO, at(20), (LANE,))


def test_a_step_waited_for_what_ended_last() -> None:
    assert waited_for(LANE, MESH) == "binaries"
    assert waited_for(LANE, LANE.spans[0]) is None
    assert list(reasons(LANE, LANE.spans[3])) == ["after mesh", "waited 3.0 s: the API server is not ready"]


def test_waits_are_light_and_work_is_dark() -> None:
    row = next(line for line in lines(TIMELINE) if " kubelet " in line)
    assert (row.count(WAIT), row.count(WORK)) == (BAR * 3 // 20, BAR * 3 // 20)


def test_what_lasts_goes_to_the_end() -> None:
    row = next(line for line in lines(TIMELINE) if " addons " in line)
    assert row.count(WORK) == BAR * 8 // 20
    assert "  ..." in row, "it has no length yet"


def test_plain_values_count_from_the_first_moment() -> None:
    found = facts(TIMELINE)["lanes"][0]["steps"][3]
    assert found == {
        "name": "kubelet",
        "began": 6.0,
        "ended": 12.0,
        "after": "mesh",
        "waits": [{"began": 6.0, "ended": 9.0, "for": "the API server is not ready"}],
    }


@pytest.mark.parametrize("said", ["<b>", "a & b", "\"'", "]]>", "ü 漢", clean("\x00\x1b[31m\ud800\ufffe"), "</svg>"])
def test_a_picture_is_well_formed_whatever_a_node_says(said: str) -> None:
    lane = Lane(said, (span(said, 0, 3, waits=(Wait(at(1), at(2), said),)),))
    ElementTree.fromstring(drawing(Timeline(ZERO, at(3), (lane,))))


@pytest.mark.parametrize("length", [0.0, 0.01, 59.0, 4000.0, 1e10])
def test_any_length_is_drawn(length: float) -> None:
    timeline = Timeline(ZERO, at(length), (Lane("launch", (span("make", 0, length),)),))
    assert all(len(line) < 200 for line in lines(timeline))
    assert drawing(timeline).count("<line") <= 2 * MOST_TICKS
    ElementTree.fromstring(drawing(timeline))
