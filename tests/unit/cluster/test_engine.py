"""The engine asks for the proof first, guards once, works in rounds, and stops at the first that fails."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest

from generator.cluster.engine import Engine, Event, Names, Row, Step
from generator.cluster.kube_api import NotYet
from generator.errors import Problem, Problems
from tests.keyring import NOW


@dataclass
class Time:
    at: datetime = NOW

    def now(self) -> datetime:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@dataclass
class Place:
    """A site, a lock and a watch in one, that only count."""

    clock: Time = field(default_factory=Time)
    looks: int = 0
    kept: int = 0

    def look(self) -> None:
        self.looks += 1

    def keep(self) -> None:
        self.kept += 1

    def show(self, site: Any) -> None: ...

    def stop_on_failure(self, site: Any, besides: Names) -> None: ...

    def stop_when_late(self, site: Any, awaited: str) -> None: ...


@dataclass
class Work:
    """A row's functions: done after so many rounds; `unheard` is how often nobody answers before that."""

    rounds: int
    forbidden: bool = False
    unheard: int = 0
    did: int = 0
    guarded: int = 0

    def awaited(self, site: Any, nodes: Names) -> str:
        if self.unheard:
            self.unheard -= 1
            raise NotYet("no API server answers", where="orderbook")
        return f"{self.rounds - self.did} rounds" if self.did < self.rounds else ""

    def guard(self, site: Any, nodes: Names) -> Iterator[Problem]:
        self.guarded += 1
        if self.forbidden:
            yield Problem("must not be", where=nodes[0])

    def doing(self, site: Any, nodes: Names) -> None:
        self.did += 1

    def step(self, patience: float | None = None) -> Step:
        span = timedelta(seconds=patience) if patience is not None else None
        return Step(Row("row", "do it", self.doing, self.awaited, self.guard, span), ("node01",))


def run(*works: Work, patience: float | None = None) -> tuple[Place, list[Event]]:
    place, events = Place(), []
    engine = Engine(place, place, place, events.append)  # type: ignore[arg-type]
    try:
        engine.run([work.step(patience) for work in works])
    except (Problem, Problems):
        place.looks = -1
    return place, events


def test_what_is_done_is_passed_over_and_not_even_guarded() -> None:
    work = Work(0, forbidden=True)
    _, events = run(work)
    assert (work.did, work.guarded, [event.state for event in events]) == (0, 0, ["passed"])


@pytest.mark.parametrize("rounds", [1, 2, 5])
def test_it_works_in_rounds_guarded_once_with_the_lock_kept(rounds: int) -> None:
    work = Work(rounds)
    place, events = run(work)
    assert (work.did, work.guarded, place.kept, place.looks) == (rounds, 1, rounds, rounds - 1)
    assert [event.state for event in events] == ["begun", "done"]


def test_what_is_forbidden_is_not_begun_and_nothing_after_it() -> None:
    first, second = Work(1, forbidden=True), Work(1)
    _, events = run(first, second)
    assert (first.did, second.did, second.guarded) == (0, 0, 0)
    assert [event.state for event in events] == ["failed"]


def test_it_has_patience_with_who_does_not_answer() -> None:
    work = Work(1, unheard=3)
    place, events = run(work, patience=60)
    assert (work.did, place.looks, events[-1].state) == (1, 3, "done")


@pytest.mark.parametrize("unheard", [0, 1000])
def test_patience_ends(unheard: int) -> None:
    work = Work(1000, unheard=unheard)
    _, events = run(work, patience=30)
    assert events[-1].state == "failed"
    said = "orderbook: no API server answers" if unheard else "rounds"
    assert "row: time is up after 30 s, still waiting for" in events[-1].message
    assert said in events[-1].message


def test_an_event_is_a_line_of_json() -> None:
    _, events = run(Work(1))
    assert events[-1].facts == {
        "time": "2026-11-22T08:30:00Z",
        "step": "row",
        "nodes": ["node01"],
        "state": "done",
        "seconds": 0.0,
    }
