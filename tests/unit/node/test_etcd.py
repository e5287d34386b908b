"""When a member may form a new cluster, when it joins, and when it must do neither."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hardway import etcd, here, restoring, roster, waiting
from hardway.here import Failure

from .kernel import peer

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
URL = "https://10.44.0.1:2380"
NEW = {"state": "new", "token": "t", "new_until": "2026-11-23T12:30:00Z"}
LATE = NEW | {"new_until": "2026-11-23T11:59:59Z"}
EXISTING = NEW | {"state": "existing"}
RESTORING = NEW | {"state": "restoring", "snapshot": "a" * 64}


def member(number: int, *, served: bool = True, learner: bool = False, named: bool = True) -> dict[str, Any]:
    found: dict[str, Any] = {"ID": number, "peerURLs": [f"https://10.44.0.{number}:2380"]}
    found |= {"name": f"node0{number}"} if named else {}
    found |= {"clientURLs": [f"https://10.44.0.{number}:2379"]} if served else {}
    return found | ({"isLearner": True} if learner else {})


NODES = [peer(1), peer(2), peer(3), peer(4) | {"name": "work01", "role": "worker"}]
FORMING = [member(1, served=False), member(2, served=False), member(3, served=False)]
QUORUM = [member(1, served=False), member(2), member(3)]
WHOLE = [member(1), member(2), member(3)]


@pytest.mark.parametrize(
    ("said", "fresh", "views", "expected"),
    [
        pytest.param(NEW, True, [], "new", id="nobody is there yet"),
        pytest.param(NEW, True, [FORMING], "new", id="the others are forming too"),
        pytest.param(NEW, True, [QUORUM], "new", id="late, but a member of the new cluster that never started"),
        pytest.param(NEW, True, [FORMING, QUORUM], "new", id="peers that do not agree yet"),
        pytest.param(NEW, True, [WHOLE], "join", id="it has served: its data is lost"),
        pytest.param(NEW, True, [[member(2), member(3)]], "join", id="it was removed"),
        pytest.param(
            NEW,
            True,
            [[member(1, served=False, learner=True, named=False), member(2)]],
            "join",
            id="a leftover learner",
        ),
        pytest.param(NEW, False, [QUORUM], "join", id="a stale roster allows nothing new, but joining"),
        pytest.param(EXISTING, True, [WHOLE], "join", id="replaced"),
        pytest.param(EXISTING, True, [QUORUM], "join", id="replaced before it ever started"),
        pytest.param(EXISTING, False, [WHOLE], "join", id="replaced while the store is down"),
        pytest.param(LATE, True, [WHOLE], "join", id="replaced before the roster was told"),
        pytest.param(EXISTING, True, [], "the cluster exists, but no member", id="wiped everywhere"),
        pytest.param(
            EXISTING, True, [FORMING], "the cluster exists, but no member", id="others form against the roster"
        ),
        pytest.param(NEW, False, [], "the store can't confirm", id="a stale roster"),
        pytest.param(NEW, False, [FORMING], "the store can't confirm", id="a stale roster, others forming"),
        pytest.param(LATE, True, [], "ended at 2026-11-23T11:59:59Z", id="too late"),
        pytest.param(LATE, True, [FORMING], "ended at", id="too late, others forming"),
        pytest.param(RESTORING, True, [], "restore", id="a snapshot is to be restored"),
        pytest.param(RESTORING, True, [FORMING], "restore", id="a snapshot, others have never served"),
        pytest.param(RESTORING, True, [[member(2)]], "join", id="the first member of what was restored is there"),
        pytest.param(RESTORING, False, [], "the store can't confirm", id="a stale roster restores nothing"),
    ],
)
def test_decision(said: dict[str, str], fresh: bool, views: list[Any], expected: str) -> None:
    way = etcd.decide("node01", URL, said, fresh, NOW, views)
    if expected in ("new", "join", "restore"):
        assert way == expected
    else:
        assert way.startswith("no data, and no new cluster may form: ")
        assert expected in way
        assert way.endswith("bring back a member with its data, or restore a snapshot")


def test_no_new_cluster_unless_everything_allows_it() -> None:
    for said in (NEW, LATE, EXISTING, RESTORING):
        for fresh in (True, False):
            for views in ([], [FORMING], [QUORUM], [WHOLE], [FORMING, WHOLE]):
                way = etcd.decide("node01", URL, said, fresh, NOW, views)
                if (said, fresh) != (NEW, True) or WHOLE in views:
                    assert way != "new"


class Cluster:
    """Three members behind `etcdctl`, as strict as etcd is about quorum and learners."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *members: dict[str, Any], alive: set[int]) -> None:
        self.members = {one["ID"]: one for one in members}
        self.alive = alive
        self.calls: list[str] = []
        monkeypatch.setattr(here, "run", self.run)

    def run(self, program: str, *words: str, **_: object) -> str:
        line = " ".join(word for word in words if not word.startswith(("--cacert", "--cert", "--key", "--write")))
        self.calls.append(line.split(" --endpoints")[0])
        assert program == "etcdctl"
        if words[:2] == ("endpoint", "status"):
            own = self.members[9]
            status = {"header": {"member_id": 9}} | ({"isLearner": True} if own.get("isLearner") else {})
            return json.dumps([{"Status": status}])
        voters = [one for one in self.members.values() if not one.get("isLearner")]
        if len([one for one in voters if one["ID"] in self.alive]) <= len(voters) // 2:
            raise Failure("context deadline exceeded")
        if words[1] == "remove":
            del self.members[int(words[2], 16)]
        if words[1] == "add":
            if any(one.get("isLearner") for one in self.members.values()):
                raise Failure("too many learner members in cluster")
            url = words[4].removeprefix("--peer-urls=")
            self.members[9] = {"ID": 9, "peerURLs": [url], "isLearner": True}
        if words[1] == "promote":
            if 9 not in self.alive:
                raise Failure("can only promote a learner member which is in sync with leader")
            del self.members[9]["isLearner"]
        return json.dumps({"members": list(self.members.values())})


@pytest.fixture
def allowed(facts: dict[str, Any], monkeypatch: pytest.MonkeyPatch, no_waiting: list[float]) -> dict[str, str]:
    """A node without data, with a roster that says `existing`; a test may say otherwise."""
    said = dict(EXISTING)
    known = {"etcd": said, "nodes": NODES}
    here.write(here.ROSTER, json.dumps(known))
    monkeypatch.setattr(roster, "refresh", lambda: (known, True))
    return said


def environment() -> dict[str, str]:
    return dict(line.split("=", 1) for line in here.at(etcd.ENVIRONMENT).read_text().splitlines())


PLANNED = "node01=https://10.44.0.1:2380,node02=https://10.44.0.2:2380,node03=https://10.44.0.3:2380"


def test_starts_on_its_data(facts: dict[str, Any]) -> None:
    here.at(etcd.DATA).mkdir(parents=True)
    here.write(here.ROSTER, json.dumps({"nodes": NODES}))
    etcd.step()
    assert environment() == {"ETCD_INITIAL_CLUSTER": PLANNED, "ETCD_INITIAL_CLUSTER_STATE": "existing"}


def test_forms(allowed: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    allowed |= NEW | {"new_until": "2999-01-01T00:00:00Z"}
    monkeypatch.setattr(etcd, "members_seen", lambda _: None)
    etcd.step()
    assert environment() == {
        "ETCD_INITIAL_CLUSTER": PLANNED,
        "ETCD_INITIAL_CLUSTER_STATE": "new",
        "ETCD_INITIAL_CLUSTER_TOKEN": "t",
    }


def test_joins_in_place_of_its_predecessor(allowed: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(monkeypatch, *WHOLE, alive={2, 3})
    monkeypatch.setattr(etcd, "members_seen", lambda _: WHOLE)
    etcd.step()
    assert cluster.calls == [
        "member list",
        "member remove 1",
        "member add node01 --learner --peer-urls=https://10.44.0.1:2380",
        "member list",
    ]
    assert environment()["ETCD_INITIAL_CLUSTER_STATE"] == "existing"
    assert set(environment()["ETCD_INITIAL_CLUSTER"].split(",")) == set(PLANNED.split(","))


def test_never_acts_against_quorum(allowed: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(monkeypatch, *WHOLE, alive={2})
    monkeypatch.setattr(etcd, "members_seen", lambda _: WHOLE)
    with pytest.raises(Failure, match="context deadline"):
        etcd.step()
    assert set(cluster.calls) == {"member list"}
    assert not here.at(etcd.ENVIRONMENT).exists()


def test_of_two_that_join_one_waits(
    allowed: dict[str, str], monkeypatch: pytest.MonkeyPatch, no_waiting: list[float]
) -> None:
    others = [member(2), member(3), member(4), member(5, served=False, learner=True, named=False)]
    cluster = Cluster(monkeypatch, *others, alive={2, 3, 4})
    monkeypatch.setattr(etcd, "members_seen", lambda _: others)
    real = no_waiting.append

    def promoted(seconds: float) -> None:
        real(seconds)
        if len(no_waiting) == 3:
            cluster.members[5] = member(5)

    monkeypatch.setattr(waiting.time, "sleep", promoted)
    etcd.step()
    assert len(no_waiting) == 3
    assert "https://10.44.0.5:2380" in environment()["ETCD_INITIAL_CLUSTER"]


def test_says_so_and_writes_nothing_when_neither_may_be(
    allowed: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(etcd, "members_seen", lambda _: None)
    with pytest.raises(Failure, match="no member of it answers"):
        etcd.step()
    assert not here.at(etcd.ENVIRONMENT).exists()


def test_promotes_a_learner_once_it_is_in_sync(
    facts: dict[str, Any], monkeypatch: pytest.MonkeyPatch, no_waiting: list[float]
) -> None:
    own = {"ID": 9, "peerURLs": [URL], "isLearner": True}
    here.write(here.ROSTER, json.dumps({"nodes": NODES}))
    cluster = Cluster(monkeypatch, own, member(2), member(3), alive={2, 3})

    def caught_up(seconds: float) -> None:
        no_waiting.append(seconds)
        if len(no_waiting) == 2:
            cluster.alive.add(9)

    monkeypatch.setattr(waiting.time, "sleep", caught_up)
    etcd.promote()
    assert cluster.calls.count("member promote 9") == 3
    assert "isLearner" not in cluster.members[9]
    cluster.calls.clear()
    etcd.promote()
    assert cluster.calls == ["endpoint status"]


def test_a_promotion_whose_answer_is_lost_is_a_promotion(
    facts: dict[str, Any], monkeypatch: pytest.MonkeyPatch, no_waiting: list[float]
) -> None:
    here.write(here.ROSTER, json.dumps({"nodes": NODES}))
    cluster = Cluster(
        monkeypatch, {"ID": 9, "peerURLs": [URL], "isLearner": True}, member(2), member(3), alive={2, 3, 9}
    )

    def run(program: str, *words: str, **_: object) -> str:
        said = cluster.run(program, *words)
        if words[1] == "promote":
            raise Failure("context deadline exceeded")
        return said

    monkeypatch.setattr(here, "run", run)
    etcd.promote()
    assert "isLearner" not in cluster.members[9]
    assert cluster.calls.count("member promote 9") == 1


def test_a_peer_that_does_not_answer_is_no_member(monkeypatch: pytest.MonkeyPatch) -> None:
    class Context:
        def load_cert_chain(self, *_: object) -> None: ...

    monkeypatch.setattr(etcd.ssl, "create_default_context", lambda **_: Context())
    monkeypatch.setattr(etcd.fetch, "ask", lambda *_, **__: (200, b"no JSON", None))
    assert etcd.members_seen(URL) is None
    monkeypatch.setattr(etcd.fetch, "ask", lambda *_, **__: (404, b"[]", None))
    assert etcd.members_seen(URL) is None


def test_who_does_not_begin_with_the_snapshot_waits_for_who_does(
    allowed: dict[str, str], launch: dict[str, Any], monkeypatch: pytest.MonkeyPatch, no_waiting: list[float]
) -> None:
    cluster = Cluster(monkeypatch, member(2), alive={2})
    allowed |= RESTORING
    looks = iter([[], [], [[member(2)]]])
    monkeypatch.setattr(etcd, "members_seen", lambda url: (next(looks) or [None])[0] if ":2" in url else None)
    monkeypatch.setattr(etcd, "voting", lambda roster: NODES[:2])
    etcd.step()
    assert no_waiting[:2] == [etcd.PAUSE, etcd.PAUSE]
    assert "member add node01 --learner --peer-urls=https://10.44.0.1:2380" in cluster.calls
    assert "ETCD_INITIAL_CLUSTER_STATE=existing" in here.at(etcd.ENVIRONMENT).read_text()


def test_who_begins_with_the_snapshot_is_alone_at_first(
    allowed: dict[str, str], launch: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    Cluster(monkeypatch, alive=set())
    allowed |= RESTORING
    given = {"url": "u", "sha256": "b" * 64, "identity": "AGE-SECRET-KEY-1"}
    here.write(here.LAUNCH, json.dumps(launch | {"restore": given}))
    monkeypatch.setattr(etcd, "members_seen", lambda _: None)
    begun: list[Any] = []
    monkeypatch.setattr(restoring, "restore", lambda *words: begun.append(words))
    etcd.step()
    assert begun == [("node01", URL, RESTORING, given)]
    assert f"ETCD_INITIAL_CLUSTER=node01={URL}" in here.at(etcd.ENVIRONMENT).read_text()
