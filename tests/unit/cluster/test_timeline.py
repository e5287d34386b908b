"""What nodes and a launch say of their steps, on one clock."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from datetime import UTC, datetime, timedelta

import pytest

from generator.cluster.node_report import Span, Wait, clean
from generator.cluster.timeline import Lane, Timeline, reasons, waited_for
from generator.cluster.timeline_brief import MOST_LANES, brief, rest
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


def crowd(count: int) -> Timeline:
    """Give a launch and many nodes, each a second slower than the one before; the first is not up."""
    launch = Lane("launch", tuple(span(f"create droplet worker{at:03}", at, at + 1) for at in range(count)))
    nodes = [
        Lane(f"worker{at:03}", (span("secrets", at, at + 1), span("node", at + 1, 2 * at + 2))) for at in range(count)
    ]
    nodes[0] = Lane("worker000", (span("secrets", 0, None),))
    return Timeline(ZERO, at(2 * count), (launch, *nodes))


def test_of_many_nodes_those_are_shown_that_are_not_up_or_came_up_last() -> None:
    found = brief(crowd(500))
    assert [lane.name for lane in found.lanes] == ["launch", "worker000", *(f"worker{at:03}" for at in range(495, 500))]
    assert [one.name for one in found.lanes[0].spans] == ["create droplet worker000 and 499 more"]
    assert len([*lines(found), *rest(crowd(500))]) < 20
    assert list(rest(crowd(500)))[1:] == [
        "secrets    1.0 to    1.0 (worker499), half of them 1.0 or less",
        "node       2.0 to  500.0 (worker499), half of them 251.0 or less",
    ]
    assert len(facts(crowd(500))["lanes"]) == 501


def test_of_few_nodes_all_are_shown() -> None:
    assert brief(crowd(MOST_LANES)) == crowd(MOST_LANES)
    assert list(rest(crowd(MOST_LANES))) == []
