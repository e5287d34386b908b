"""Only nodes that take pods have an ingress, and where none can be reached from here nothing is asked of any."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from generator.cluster import gate
from generator.cluster.gate import Gate
from tests.keyring import planned

BARE = planned(control_planes=1, workers=2)
PLAN = replace(BARE, addons=("bridge", "coredns", "ingress", "order-book"))
NAMES = [node.name for node in PLAN.nodes]


def closed(
    monkeypatch: pytest.MonkeyPatch, answers: dict[str, int | None], said: list[str], gates: list[Gate]
) -> list[str]:
    here = {name: SimpleNamespace(public=name) for name in NAMES}
    site: Any = SimpleNamespace(plan=PLAN, connection=SimpleNamespace(proxy=None), case=SimpleNamespace(here=here))
    monkeypatch.setattr(gate.front_door, "status", lambda address, *_: answers.get(address))
    if not gates:
        monkeypatch.setattr(gate.addons, "manifests", lambda _: {"index.json": b'{"addons": []}'})
        gates.append(Gate(PLAN, said.append))
    return list(gates[0]._closed(site, NAMES))


def test_a_control_plane_that_takes_no_pods_has_no_ingress(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [node.name for node in PLAN.nodes if not node.schedulable] == ["node01"]
    assert closed(monkeypatch, {"worker01": 200, "worker02": 200}, [], []) == []


def test_one_that_does_not_serve_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert closed(monkeypatch, {"worker01": 200, "worker02": 503}, [], []) == [
        "the order book through worker02 (answer 503)"
    ]
    assert closed(monkeypatch, {"worker01": 200}, [], []) == ["the order book through worker02 (no answer)"]


def test_where_none_can_be_reached_that_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    gates: list[Gate] = []
    for _ in range(3):
        assert closed(monkeypatch, {}, said, gates) == []
    assert len(said) == 1


def test_once_reached_all_of_them_have_to_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    gates: list[Gate] = []
    assert closed(monkeypatch, {"worker01": 200, "worker02": 200}, [], gates) == []
    assert len(closed(monkeypatch, {}, [], gates)) == 2
