"""What a control-plane node does when it is asked: each duty looks first, and may be asked for again."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hardway import duties, here
from hardway.here import Failure


class Etcd:
    """Members behind `etcdctl`, seen from the first; with `loses` the next change takes effect, and no answer comes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, leader: int = 1) -> None:
        self.members = {1: "node01", 2: "node02", 3: "node03"}
        self.learners = {3}
        self.leader = leader
        self.loses = False
        self.calls: list[str] = []
        monkeypatch.setattr(here, "run", self.run)

    def run(self, program: str, *words: str, **_: object) -> str:
        assert program == "etcdctl"
        if words[:2] == ("endpoint", "status"):
            return json.dumps([{"Status": {"header": {"member_id": 1}, "leader": self.leader}}])
        if words[:2] == ("member", "list"):
            return json.dumps({"members": [self._member(number) for number in self.members]})
        self.calls.append(" ".join(word for word in words if not word.startswith("--")))
        if words[0] == "move-leader":
            self.leader = int(words[1], 16)
        else:
            del self.members[int(words[2], 16)]
        if self.loses:
            raise Failure("context deadline exceeded")
        return "{}"

    def _member(self, number: int) -> dict[str, Any]:
        found = {"ID": number, "name": self.members[number], "peerURLs": [f"https://10.44.0.{number}:2380"]}
        return found | ({"isLearner": True} if number in self.learners else {})


@pytest.mark.parametrize("loses", [False, True])
def test_the_leadership_goes_to_a_voter(monkeypatch: pytest.MonkeyPatch, loses: bool) -> None:
    etcd = Etcd(monkeypatch)
    etcd.loses = loses
    assert duties.lead({})["leader"] == "2"
    assert duties.lead({})["leader"] == "2"
    assert etcd.calls == ["move-leader 2"]


def test_where_nobody_can_take_it_the_leadership_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    etcd = Etcd(monkeypatch)
    etcd.learners = {2, 3}
    with pytest.raises(Failure, match="there is no other voter"):
        duties.lead({})


@pytest.mark.parametrize("loses", [False, True])
def test_a_member_is_removed_once(monkeypatch: pytest.MonkeyPatch, loses: bool) -> None:
    etcd = Etcd(monkeypatch)
    etcd.loses = loses
    for _ in range(2):
        left = duties.remove({"name": "node02", "member": "2"})["members"]
        assert [one["name"] for one in left] == ["node01", "node03"]
    assert etcd.calls == ["member remove 2"]


def test_a_learner_that_never_told_its_name_is_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    etcd = Etcd(monkeypatch)
    etcd.members[3] = ""
    duties.remove({"name": "node03", "member": "3"})
    assert 3 not in etcd.members


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"name": "node01", "member": "1"}, "does not remove its own"),
        ({"name": "node02", "member": "3"}, "member 3 is node03, not node02"),
    ],
)
def test_the_wrong_member_is_not_removed(monkeypatch: pytest.MonkeyPatch, arguments: dict[str, str], why: str) -> None:
    etcd = Etcd(monkeypatch)
    with pytest.raises(Failure, match=why):
        duties.remove(arguments)
    assert etcd.calls == []


def test_without_quorum_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: str, **__: object) -> str:
        raise Failure("context deadline exceeded")

    monkeypatch.setattr(here, "run", run)
    for duty, arguments in ((duties.lead, {}), (duties.remove, {"name": "node02", "member": "2"})):
        with pytest.raises(Failure, match="deadline"):
            duty(arguments)


def test_who_comes_is_turned_away_then_all_that_asks_the_api_server_ends_before_it(
    facts: dict[str, Any], commands: list[tuple[str, ...]], no_waiting: list[float]
) -> None:
    assert duties.retire({})["stopped"][-1] == "kube-apiserver.service"
    assert commands[0] == ("nft", "--file", "-")
    assert no_waiting == [duties.ACCEPTED_SECONDS]
    assert [words[2] for words in commands[1:]] == list(duties.SERVING)
    commands.clear()
    assert duties.serve({})["started"][0] == "kube-apiserver.service"
    assert commands == [("nft", "--file", "-"), ("systemctl", "start", "--no-block", *reversed(duties.SERVING))]


def test_every_api_server_of_the_roster_is_asked(monkeypatch: pytest.MonkeyPatch, facts: dict[str, Any]) -> None:
    class Context:
        pass

    nodes = [{"name": f"node0{n}", "address": f"10.44.0.{n}", "role": "control-plane"} for n in (1, 2, 3)]
    nodes.append({"name": "work01", "address": "10.44.0.4", "role": "worker"})
    here.write(here.ROSTER, json.dumps({"nodes": nodes}))
    monkeypatch.setattr(duties.ssl, "create_default_context", lambda **_: Context())

    def ask(url: str, **_: object) -> tuple[int, bytes, None]:
        if "10.44.0.3" in url:
            raise Failure("10.44.0.3:6443: timed out")
        return (200 if "10.44.0.1" in url else 500), b"", None

    monkeypatch.setattr(duties.fetch, "ask", ask)
    assert duties.servers({}) == [
        {"node": "node01", "trouble": None},
        {"node": "node02", "trouble": "answer 500"},
        {"node": "node03", "trouble": "10.44.0.3:6443: timed out"},
    ]
