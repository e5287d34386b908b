"""Where a rollout is, as a table."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from generator.cli.course import Course
from generator.cluster.engine import Event, Row, Step, wait_only
from generator.cluster.rollout import Batch
from tests.keyring import NOW

BATCHES = (
    Batch("remove", ("work02",), "is no longer planned"),
    Batch("replace", ("node01",), "born with another document"),
    Batch("replace", ("work01", "work03"), "born with another document"),
)


@dataclass
class Ticking:
    now: float = 1000.0
    course: Course = field(init=False)

    def __post_init__(self) -> None:
        self.course = Course(BATCHES, monotonic=lambda: self.now)

    def passes(self, seconds: float) -> None:
        self.now += seconds

    def hears(self, row: str, state: str = "begun") -> None:
        step = Step(Row(row, row, wait_only, lambda *_: ""))
        self.course.hear(Event(step, state, NOW, 1.0))  # type: ignore[arg-type]


def test_before_the_first_all_is_to_come() -> None:
    course = Ticking().course
    assert course.left_seconds == 145
    assert course.table().splitlines() == [
        "STEP  WHAT                    STATE    TIME",
        "1/3   remove work02           to come  about 25 s",
        "2/3   replace node01          to come  about 60 s",
        "3/3   replace work01, work03  to come  about 60 s",
    ]


def test_what_is_through_has_its_time_and_teaches_the_rest() -> None:
    ticking = Ticking()
    ticking.course.begin()
    ticking.passes(20)
    ticking.course.begin()
    ticking.passes(40)
    ticking.course.begin()
    ticking.hears("drain")
    ticking.passes(10)
    assert ticking.course.left_seconds == pytest.approx(30)
    assert ticking.course.table().splitlines()[1:] == [
        "1/3   remove work02           done   20 s",
        "2/3   replace node01          done   40 s",
        "3/3   replace work01, work03  drain  10 s",
    ]


def test_one_that_failed_says_so_and_those_after_it_are_to_come() -> None:
    ticking = Ticking()
    ticking.course.begin()
    ticking.hears("drain", "failed")
    states = [line[30:].split("  ")[0] for line in ticking.course.table().splitlines()[1:]]
    assert states == ["failed", "to come", "to come"]


def test_the_last_one_ends_once() -> None:
    ticking = Ticking()
    for _ in BATCHES:
        ticking.course.begin()
        ticking.passes(30)
    ticking.course.end()
    ticking.passes(30)
    ticking.course.end()
    assert ticking.course.left_seconds == 0
    assert [line.split()[-3:] for line in ticking.course.table().splitlines()[1:]] == [["done", "30", "s"]] * 3
