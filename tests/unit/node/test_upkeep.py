"""Upkeep of etcd: who does it, when it is due, and in which order members give back what they don't use."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hardway import dump, etcdctl, here, keeping, snapshot, upkeep
from hardway.here import Failure

from generator.cluster import snapshots, state_store, trial

MIB = 1 << 20


class Etcd:
    """Three members behind `etcdctl`, seen from the first; keys of our own in `values`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, leader: int = 1) -> None:
        self.leader = leader
        self.sizes = {1: (200 * MIB, 20 * MIB), 2: (30 * MIB, 20 * MIB), 3: (400 * MIB, 30 * MIB)}
        # What is in use once history is forgotten.
        self.lasting = {number: used for number, (_, used) in self.sizes.items()}
        self.forgotten = ""
        self.silent: set[int] = set()
        self.errors: list[str] = []
        self.values: dict[str, str] = {}
        self.calls: list[str] = []
        monkeypatch.setattr(etcdctl, "control", self.control)
        monkeypatch.setattr(etcdctl, "value", self.values.get)
        monkeypatch.setattr(etcdctl, "note", self.values.__setitem__)

    def control(self, endpoints: Any, *words: str, seconds: float = 60) -> str:
        url = endpoints[0]
        number = 1 if endpoints == etcdctl.OWN else int(url[-1])
        if number in self.silent:
            raise Failure("context deadline exceeded")
        if words[:2] == ("endpoint", "status"):
            size, used = self.sizes[number]
            header = {"member_id": number, "revision": 70 + number}
            said = {"header": header, "leader": self.leader, "dbSize": size, "dbSizeInUse": used, "errors": self.errors}
            return json.dumps([{"Status": said | {"dbSizeQuota": 4096 * MIB}}])
        if words[:2] == ("member", "list"):
            return json.dumps({"members": [{"clientURLs": [f"https://{one}"]} for one in self.sizes]})
        self.calls.append(f"{words[0]} {number}" + (f" at {words[1]}" if words[0] == "compact" else ""))
        if words[0] == "compact":
            if words[1] == self.forgotten:
                raise Failure("etcdserver: mvcc: required revision has been compacted")
            self.forgotten = words[1]
        if words[0] == "defrag":
            # As bbolt: what was forgotten is free once the file is written anew.
            used = self.lasting[number] if self.forgotten else self.sizes[number][1]
            self.sizes[number] = (used, used)
        if words[:2] == ("alarm", "disarm"):
            self.errors = []
        return "{}"


@pytest.fixture(autouse=True)
def at_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(here, "ROOT", tmp_path)


def forget(kind: str) -> None:
    """Let the time be over until which nothing is tried."""
    here.at(f"{upkeep.NOT_BEFORE}{kind}").unlink()


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was kept, by its kind."""
    found: list[str] = []
    monkeypatch.setattr(snapshot, "take", lambda: found.append("etcd"))
    monkeypatch.setattr(dump, "take", lambda: found.append("database"))
    monkeypatch.setattr(dump, "is_there", lambda: True)
    monkeypatch.setattr(dump, "mend", lambda: None)
    return found


def test_only_the_node_that_leads_does_anything(monkeypatch: pytest.MonkeyPatch, kept: list[str]) -> None:
    etcd = Etcd(monkeypatch, leader=2)
    upkeep.step()
    assert (kept, etcd.calls, etcd.values) == ([], [], {})


def test_each_is_kept_when_it_is_due(monkeypatch: pytest.MonkeyPatch, kept: list[str]) -> None:
    etcd = Etcd(monkeypatch)
    now = time.time()
    upkeep.step()
    upkeep.step()
    assert kept == ["etcd", "database"]
    etcd.values["hardway/last/etcd"] = f"{now - 3601:.0f}"
    forget("etcd")
    upkeep.step()
    assert kept == ["etcd", "database", "etcd"]
    # A clock that was ahead, and is right now.
    etcd.values["hardway/last/database"] = f"{now + 86_400:.0f}"
    forget("database")
    upkeep.step()
    assert kept[3:] == ["database"]


def test_what_fails_keeps_nothing_else_from_being_done(monkeypatch: pytest.MonkeyPatch, kept: list[str]) -> None:
    etcd = Etcd(monkeypatch)

    def fail() -> None:
        raise Failure("the bucket is away")

    monkeypatch.setattr(snapshot, "take", fail)
    with pytest.raises(Failure, match="the bucket is away"):
        upkeep.step()
    assert kept == ["database"]
    assert "hardway/last/etcd" not in etcd.values


def test_what_fails_is_not_tried_again_at_once(monkeypatch: pytest.MonkeyPatch, kept: list[str]) -> None:
    Etcd(monkeypatch)
    tries: list[float] = []

    def fail() -> None:
        tries.append(time.time())
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(snapshot, "take", fail)
    with pytest.raises(Failure, match="No space left"):
        upkeep.step()
    upkeep.step()
    assert (len(tries), kept) == (1, ["database"])
    monkeypatch.setattr(time, "time", lambda: tries[0] + upkeep.RETRY_SECONDS + 1)
    with pytest.raises(Failure, match="No space left"):
        upkeep.step()


def test_what_a_full_etcd_can_t_note_is_kept_once(monkeypatch: pytest.MonkeyPatch, kept: list[str]) -> None:
    Etcd(monkeypatch)

    def refuse(*_: str) -> None:
        raise Failure("etcdserver: mvcc: database space exceeded")

    monkeypatch.setattr(etcdctl, "note", refuse)
    with pytest.raises(Failure, match="space exceeded"):
        upkeep.step()
    upkeep.step()
    assert kept == ["etcd", "database"]


def test_members_give_back_one_after_the_other_the_leader_last(monkeypatch: pytest.MonkeyPatch) -> None:
    etcd = Etcd(monkeypatch)
    upkeep.care()
    assert etcd.calls == ["defrag 3", "defrag 1"]
    upkeep.care()
    assert etcd.calls == ["defrag 3", "defrag 1"]


def test_nobody_is_kept_busy_while_one_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    etcd = Etcd(monkeypatch)
    etcd.silent = {2}
    upkeep.care()
    assert etcd.calls == []


def test_a_full_one_forgets_gives_back_and_is_open_again(monkeypatch: pytest.MonkeyPatch) -> None:
    etcd = Etcd(monkeypatch)
    etcd.errors = ["memberID:1 alarm:NOSPACE"]
    upkeep.care()
    assert etcd.calls == ["compact 1 at 73", "defrag 2", "defrag 3", "defrag 1", "alarm 1"]


def test_one_that_is_full_of_history_gives_back_what_that_took(monkeypatch: pytest.MonkeyPatch) -> None:
    etcd = Etcd(monkeypatch)
    etcd.errors = ["memberID:1 alarm:NOSPACE"]
    etcd.sizes = dict.fromkeys(etcd.sizes, (4095 * MIB, 4095 * MIB))
    upkeep.care()
    assert etcd.calls == ["compact 1 at 73", "defrag 2", "defrag 3", "defrag 1", "alarm 1"]


def test_a_run_that_is_cut_off_is_gone_on_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was forgotten by then is as good as used, for all that members tell."""
    etcd = Etcd(monkeypatch)
    etcd.errors = ["memberID:1 alarm:NOSPACE"]
    etcd.sizes = dict.fromkeys(etcd.sizes, (4095 * MIB, 4095 * MIB))
    control = etcd.control

    def cut_off(endpoints: Any, *words: str, seconds: float = 60) -> str:
        said = str(control(endpoints, *words, seconds=seconds))
        if words[0] == "defrag":
            etcd.silent = {3}
        return said

    monkeypatch.setattr(etcdctl, "control", cut_off)
    with pytest.raises(Failure, match="not all members answer any more"):
        upkeep.care()
    with pytest.raises(Failure, match="something has to be deleted"):
        upkeep.care()  # one is silent: nobody has a turn, and 1 is as full as before
    assert etcd.calls == ["compact 1 at 73", "defrag 2"]
    etcd.silent = set()
    monkeypatch.setattr(etcdctl, "control", control)
    upkeep.care()
    assert [one for one in etcd.calls[2:] if "compact" not in one] == ["defrag 3", "defrag 1", "alarm 1"]
    assert not here.at(upkeep.HAD).exists()


def test_nobody_has_a_turn_once_one_is_away_or_another_leads(monkeypatch: pytest.MonkeyPatch) -> None:
    for change in ({"silent": {2}}, {"leader": 3}):
        etcd = Etcd(monkeypatch)
        control = etcd.control

        def changing(endpoints: Any, *words: str, seconds: float = 60, of: Any = (etcd, control, change)) -> str:
            said = str(of[1](endpoints, *words, seconds=seconds))
            if words[0] == "defrag":
                for name, value in of[2].items():
                    setattr(of[0], name, value)
            return said

        monkeypatch.setattr(etcdctl, "control", changing)
        with pytest.raises(Failure, match="not all members answer any more, or another leads"):
            upkeep.care()
        assert etcd.calls == ["defrag 3"]


def test_one_that_is_full_of_what_is_in_use_stays_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    etcd = Etcd(monkeypatch)
    etcd.errors = ["memberID:1 alarm:NOSPACE"]
    etcd.sizes[2] = (4000 * MIB, 4000 * MIB)
    etcd.lasting[2] = 4000 * MIB
    with pytest.raises(Failure, match="https://2 uses 4000 of 4096 MiB; something has to be deleted"):
        upkeep.care()
    assert "alarm 1" not in etcd.calls
    assert "defrag 2" in etcd.calls
    calls = len(etcd.calls)
    with pytest.raises(Failure, match="something has to be deleted"):
        upkeep.care()
    assert not [one for one in etcd.calls[calls:] if one.startswith("defrag")], "nobody stands still for nothing"


def test_the_operator_s_side_knows_when_one_is_due() -> None:
    seconds = {kind: every.total_seconds() for kind, every in state_store.DUE.items()}
    assert seconds == {snapshot.KIND: upkeep.SNAPSHOT_SECONDS, dump.KIND: upkeep.DUMP_SECONDS}
    assert (snapshot.CLUSTER, keeping.CONTEXT) == (trial.CLUSTER_KEY, snapshots.CONTEXT)
