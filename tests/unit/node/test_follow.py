"""Mesh and addons follow the roster; the first boot waits, but not for ever, for a way to each control-plane node."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from hardway import balancer, follow, here, mesh, peers, roster, survey
from hardway.here import Failure

from .kernel import Kernel, peer

NEW: dict[str, Any] = {"etcd": {"state": "new"}}


def test_in_a_cluster_that_exists_one_way_is_enough(
    monkeypatch: pytest.MonkeyPatch, facts: dict[str, Any], no_waiting: list[float]
) -> None:
    Kernel(monkeypatch)
    here.write(here.ROSTER, json.dumps({"etcd": {"state": "existing"}, "nodes": [peer(2, "10.110.0.2"), peer(3)]}))
    follow.meet()
    assert no_waiting == []


def test_the_first_boot_waits_for_a_way_to_each_control_plane_node(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    facts: dict[str, Any],
    no_waiting: list[float],
) -> None:
    kernel = Kernel(monkeypatch)
    worker = peer(4) | {"name": "work01", "role": "worker"}
    rosters = [
        NEW | {"nodes": [peer(2), peer(3), worker]},
        NEW | {"nodes": [peer(2, "10.110.0.2"), peer(3), worker]},
    ]
    here.write(here.ROSTER, json.dumps(rosters[0]))

    def refresh() -> tuple[dict[str, Any], bool]:
        if len(no_waiting) == 3:
            kernel.handshakes["key3"] = 1795400883
        return rosters[min(len(no_waiting), 2) - 1], True

    monkeypatch.setattr(roster, "refresh", refresh)
    follow.meet()
    assert no_waiting == [2, 2, 2]
    assert capsys.readouterr().out.splitlines() == [
        "no endpoint yet: node02, node03",
        "no endpoint yet: node02, node03",
        "no endpoint yet: node03",
    ]
    no_waiting.clear()
    here.write(here.ROSTER, json.dumps(rosters[0]))
    follow.meet()
    assert no_waiting == []


def test_the_wait_is_bounded(monkeypatch: pytest.MonkeyPatch, facts: dict[str, Any], no_waiting: list[float]) -> None:
    Kernel(monkeypatch)
    known = NEW | {"nodes": [peer(2)]}
    here.write(here.ROSTER, json.dumps(known))
    monkeypatch.setattr(roster, "refresh", lambda: (known, True))
    follow.meet()
    assert sum(no_waiting) == follow.PATIENCE
    assert here.at(follow.MET).exists()


def test_what_else_fails_meanwhile_is_no_reason_to_wait(
    monkeypatch: pytest.MonkeyPatch, facts: dict[str, Any], no_waiting: list[float]
) -> None:
    Kernel(monkeypatch)
    here.write(here.ROSTER, json.dumps(NEW | {"nodes": [peer(2)]}))

    def refresh() -> tuple[dict[str, Any], bool]:
        raise Failure("no roster is new enough")

    monkeypatch.setattr(roster, "refresh", refresh)
    with pytest.raises(Failure, match="new enough"):
        follow.meet()
    assert no_waiting == [2]
    assert not here.at(follow.MET).exists()


@pytest.fixture(autouse=True)
def balanced(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The names of the nodes that the balancer has been told of, each time."""
    found: list[list[str]] = []
    monkeypatch.setattr(balancer, "follow", lambda said: found.append([node["name"] for node in said["nodes"]]))
    return found


def test_the_paths_are_probed_now_and_then(
    said: dict[str, Any], followed: list[int], commands: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[str] = []

    def take() -> None:
        taken.append("probed")
        here.write(survey.KEPT, "{}")

    monkeypatch.setattr(survey, "take", take)
    follow.changes()
    assert taken == [], "this node is not ready yet"
    survey.begin()
    assert commands == [("systemctl", "start", "--no-block", "hardway-roster.service")]
    follow.changes()
    follow.changes()
    assert taken == ["probed"]
    past = here.at(survey.KEPT).stat().st_mtime - survey.AGAIN_SECONDS - 1
    os.utime(here.at(survey.KEPT), (past, past))
    follow.changes()
    assert taken == 2 * ["probed"]


@pytest.fixture
def said(facts: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the store says; a test may change it."""
    found: dict[str, Any] = {"generation": 100, "nodes": [peer(1)], "addons": "0" * 64}

    def refresh() -> tuple[dict[str, Any], bool]:
        here.write(here.ROSTER, json.dumps(found))
        return found, True

    monkeypatch.setattr(roster, "refresh", refresh)
    return found


@pytest.fixture
def followed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The generations that the mesh has followed."""
    found: list[int] = []
    monkeypatch.setattr(mesh, "exists", lambda: True)

    def apply(said: dict[str, Any]) -> None:
        found.append(said["generation"])
        here.write(mesh.APPLIED, json.dumps(peers.others(here.facts(), said)))

    monkeypatch.setattr(mesh, "follow", apply)
    return found


def test_mesh_balancer_and_addons_follow_a_change(
    said: dict[str, Any], followed: list[int], balanced: list[list[str]], commands: list[tuple[str, ...]]
) -> None:
    follow.changes()
    follow.changes()
    assert (followed, commands) == ([100], [])
    said |= {"generation": 101, "nodes": [peer(1), peer(2, "10.110.0.99")]}
    roster.refresh()  # another step of the node may read it first
    follow.changes()
    assert (followed, commands) == ([100, 101], [])
    said |= {"generation": 102, "addons": "1" * 64}
    follow.changes()
    said |= {"generation": 103, "secrets": "2" * 64}
    follow.changes()
    assert followed == [100, 101]
    assert balanced == [*2 * [["node01"]], *3 * [["node01", "node02"]]]
    assert commands == 2 * [("systemctl", "try-restart", "--no-block", "hardway-bootstrap.service")]


def test_before_there_is_a_mesh_none_follows(
    said: dict[str, Any],
    followed: list[int],
    balanced: list[list[str]],
    commands: list[tuple[str, ...]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mesh, "exists", lambda: False)
    follow.changes()
    assert (followed, balanced, commands) == ([], [], [])
    assert here.read(here.ROSTER) == said


def test_a_worker_applies_no_addons(
    said: dict[str, Any], followed: list[int], commands: list[tuple[str, ...]], facts: dict[str, Any]
) -> None:
    here.write(here.FACTS, json.dumps(facts | {"role": "worker"}))
    follow.changes()
    said |= {"generation": 101, "addons": "1" * 64}
    follow.changes()
    assert (followed, commands) == ([100], [])
