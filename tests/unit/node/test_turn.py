"""One API server starts first, the others once somebody answers; nobody waits for ever."""

from __future__ import annotations

import pytest
from hardway import turn
from hardway.here import Failure


class Cluster:
    """What a node sees while it waits: each answer stands from so many seconds on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, paused: list[float], **since: float | None) -> None:
        for question in ("leads", "is_served", "is_ready"):
            moment = since.get(question)
            monkeypatch.setattr(turn, question, lambda moment=moment: moment is not None and sum(paused) >= moment)


@pytest.mark.parametrize(
    ("since", "seconds"),
    [
        ({"leads": 0}, 0),
        ({"leads": 3}, 3),
        ({"is_served": 10, "is_ready": 14}, 14),
        ({"is_served": 0, "is_ready": 0}, 0),
        ({"is_served": 0}, turn.READY_SECONDS),
        ({}, turn.SERVED_SECONDS),
        ({"is_ready": 0}, turn.SERVED_SECONDS),
    ],
)
def test_it_is_a_nodes_turn(
    monkeypatch: pytest.MonkeyPatch, no_waiting: list[float], since: dict[str, float], seconds: float
) -> None:
    Cluster(monkeypatch, no_waiting, **since)
    turn.step()
    assert sum(no_waiting) == seconds


def test_what_can_not_be_asked_is_asked_again(monkeypatch: pytest.MonkeyPatch, no_waiting: list[float]) -> None:
    Cluster(monkeypatch, no_waiting, leads=0)
    lead = turn.leads

    def refused_at_first() -> bool:
        if sum(no_waiting) < 2:
            raise Failure("127.0.0.1:2379: refused")
        return lead()

    monkeypatch.setattr(turn, "leads", refused_at_first)
    turn.step()
    assert sum(no_waiting) == 2
