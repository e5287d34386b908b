"""The balancer's servers are the roster's control plane, one's own first; a change is taken over once, by a reload."""

from __future__ import annotations

from typing import Any

import pytest
from hardway import balancer, here
from hardway.here import Failure

from .kernel import peer

RELOAD = ("systemctl", "try-reload-or-restart", "--no-block", "hardway-balancer.service")
WORKER = peer(9) | {"name": "work01", "role": "worker"}


def roster(*numbers: int) -> dict[str, Any]:
    return {"nodes": [*(peer(number) for number in numbers), WORKER]}


def servers(text: str | None) -> list[list[str]]:
    return [line.split()[1:] for line in (text or "").splitlines() if line.split()[0] == "server"]


ENDS = ["on-marked-down", "shutdown-sessions"]
"""What is begun at a server that is gone is ended; one's own must not do that, see there."""


def test_a_worker_uses_all_alike(facts: dict[str, Any]) -> None:
    found = servers(balancer.backend(facts | {"node": "work01", "role": "worker"}, roster(1, 2, 3)))
    assert found == [[f"node0{number}", f"10.44.0.{number}:6443", *ENDS] for number in (1, 2, 3)]


def test_a_control_plane_node_has_its_own_first(facts: dict[str, Any]) -> None:
    found = {words[0]: words[2:] for words in servers(balancer.backend(facts, roster(1, 2, 3)))}
    own = found.pop("node01")
    assert (own[-2:], "on-marked-down" in own) == (["on-error", "mark-down"], False)
    assert found == {"node02": [*ENDS, "backup"], "node03": [*ENDS, "backup"]}


def test_a_new_control_plane_node_that_no_roster_names_yet_uses_the_others_alike(facts: dict[str, Any]) -> None:
    assert [words[2:] for words in servers(balancer.backend(facts | {"node": "node05"}, roster(1, 2)))] == [ENDS, ENDS]


def test_what_is_the_same_is_left_alone(facts: dict[str, Any], commands: list[tuple[str, ...]]) -> None:
    balancer.follow(roster(1, 2, 3))
    assert [words[:2] for words in commands] == [(balancer.PROGRAM, "-c"), RELOAD[:2]]
    balancer.follow({**roster(1, 2, 3), "generation": 2})
    assert len(commands) == 2
    balancer.follow(roster(1, 2))
    assert commands[3:] == [RELOAD]
    assert [words[0] for words in servers(here.at(balancer.BACKEND).read_text())] == ["node01", "node02"]


def test_a_change_that_the_running_one_has_not_heard_is_told_again(
    facts: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[tuple[str, ...]] = []

    def run(*argv: str, **_: object) -> str:
        heard.append(argv)
        if argv == RELOAD and heard.count(RELOAD) == 1:
            raise Failure("`systemctl`: the bus is away")
        return ""

    monkeypatch.setattr(here, "run", run)
    with pytest.raises(Failure, match="bus is away"):
        balancer.follow(roster(1, 2))
    balancer.follow(roster(1, 2))
    balancer.follow(roster(1, 2))
    assert heard.count(RELOAD) == 2


def test_a_roster_without_control_plane_changes_nothing(facts: dict[str, Any], commands: list[tuple[str, ...]]) -> None:
    balancer.follow(roster(1))
    before = here.at(balancer.BACKEND).read_text()
    commands.clear()
    balancer.follow(roster())
    assert (here.at(balancer.BACKEND).read_text(), commands) == (before, [])


def test_what_haproxy_refuses_takes_no_place(facts: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(here, "run", lambda *_, **__: "")
    balancer.follow(roster(1))
    before = here.at(balancer.BACKEND).read_text()

    def run(*argv: str, **_: object) -> str:
        assert argv[0] == balancer.PROGRAM
        raise Failure("`haproxy -c`: unknown keyword")

    monkeypatch.setattr(here, "run", run)
    with pytest.raises(Failure, match="unknown keyword"):
        balancer.follow(roster(1, 2))
    assert here.at(balancer.BACKEND).read_text() == before
