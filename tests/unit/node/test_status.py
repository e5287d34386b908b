"""What a node tells of itself: what systemd says, in the form the launch reads, without a secret."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hardway import here, kube, mounted, status, timeline, vouch
from hardway.here import Failure

from generator.cluster import node_report
from generator.cluster.node_report import Progress
from tests.phases import phases_of
from tests.reports import KEY

from .conftest import CLUSTER_ID, Answer, Store

STATUS = {"header": {"member_id": 31}, "leader": 46}
MEMBERS = [{"ID": 31, "name": "node01", "peerURLs": ["https://10.44.0.1:2380"]}, {"ID": 46, "peerURLs": []}]

WAITING = {"ActiveState": "inactive", "Result": "success", "NRestarts": "0", "LoadState": "loaded"}
TIMES = {status.BEGAN: "", status.UP: "", status.DOWN: ""}


def said(**changes: str) -> dict[str, str]:
    return {**WAITING, **TIMES, **changes}


@pytest.mark.parametrize(
    ("changes", "state", "since"),
    [
        ({}, "waiting", None),
        ({"ActiveState": "activating", status.BEGAN: "5000000"}, "running", 5),
        ({"ActiveState": "activating", status.BEGAN: "5000000", "NRestarts": "2", "Result": "exit-code"}, "running", 5),
        ({"ActiveState": "activating", status.BEGAN: "5000000", "NRestarts": "3"}, "failed", 5),
        ({"ActiveState": "active", status.BEGAN: "5000000", status.UP: "7000000"}, "done", 7),
        ({"ActiveState": "active", status.UP: "7000000", "NRestarts": "9"}, "done", 7),
        ({"ActiveState": "failed", status.DOWN: "8000000", "Result": "exit-code"}, "failed", 8),
        ({status.BEGAN: "5000000", status.DOWN: "6000000"}, "done", 6),
        ({"ActiveState": "activating", status.BEGAN: "9000000", status.DOWN: "6000000"}, "done", 6),
    ],
)
def test_a_phase_is_what_its_unit_is(changes: dict[str, str], state: str, since: float | None) -> None:
    found = status.phase_of("roster", "hardway-roster.service", said(**changes))
    assert (found.state, found.since) == (state, since)


class System:
    """Answers `systemctl show` and `journalctl`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.units = {
            unit: said(ActiveState="active", **{status.UP: "7000000"})
            for unit in (*status.PHASES.values(), *status.ALSO)
        }
        self.journal = "one\ntwo\n"
        monkeypatch.setattr(here, "run", self.run)

    def run(self, program: str, *words: str, **_: object) -> str:
        if program == "journalctl":
            return self.journal
        if program == "etcdctl":
            return json.dumps({"members": MEMBERS} if words[0] == "member" else [{"Status": STATUS}])
        if "UserspaceTimestampMonotonic" in words[1]:
            return "UserspaceTimestampMonotonic=1000000\n"
        if words[-1] == timeline.FIRST:
            return "InactiveExitTimestampMonotonic=2000000\n"
        blocks = [self.units[word] for word in words if word in self.units]
        return "\n\n".join("\n".join(f"{key}={value}" for key, value in block.items()) for block in blocks) + "\n"


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch, facts: dict[str, Any], launch: dict[str, Any], store: Store) -> System:
    here.write("/proc/sys/kernel/random/boot_id", "boot\n")
    here.write("/dev/console", "")
    here.write(here.ROSTER, '{"generation": 7}')
    here.write(vouch.KEY, base64.b64encode(KEY))
    here.write(vouch.DROPLET, "11\n")
    here.write(status.AGENT, f"{'a' * 64}\n")
    store.answers["/status"] = Answer()
    return System(monkeypatch)


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """An API that takes reports; a test may empty `answers`."""
    taken: list[str] = []

    def patch(path: str, body: Any, *, seconds: float) -> tuple[int, Any]:
        assert path == "/api/v1/nodes/node01"
        assert seconds <= 5, "a report that hangs holds up the next"
        taken.append(body["metadata"]["annotations"][status.ANNOTATION])
        return 200, {}

    monkeypatch.setattr(kube, "patch", patch)
    return taken


@pytest.fixture
def no_api(monkeypatch: pytest.MonkeyPatch) -> None:
    """An API that does not answer."""

    def refuse(*_: Any, **__: Any) -> tuple[int, Any]:
        raise Failure("127.0.0.1:7443: refused")

    monkeypatch.setattr(kube, "patch", refuse)


def read(text: bytes | str) -> Progress:
    found = node_report.read(text, "node01", CLUSTER_ID, KEY)
    assert found
    assert found[2], "the node vouches for it"
    return found[0]


def test_the_launch_reads_it(system: System, store: Store, no_api: None) -> None:
    system.units["etcd.service"] = said(ActiveState="failed", Result="exit-code", **{status.DOWN: "8000000"})
    system.units["kube-apiserver.service"] = said()
    assert status.tell(status.report(*status.observe()))
    told = read(store.requests[0][3])
    assert (told.generation, told.droplet) == (7, 11)
    assert told.digests == {"agent": "a" * 64, "bundle": ""}
    assert told.etcd is None, "etcd is not up"
    assert told.current
    assert told.current.name == "etcd"
    assert told.failure == node_report.Failure("etcd.service", ("one", "two"))
    assert [phase.name for phase in told.phases] == list(node_report.PHASES)
    assert (told.state("api"), told.done("mesh")) == ("waiting", True)


def test_all_done_is_complete(system: System, store: Store, api: list[str]) -> None:
    found = status.report(*status.observe())
    assert (found["phase"], found["failure"]) == (status.ALL_DONE, None)
    assert status.tell(found)
    told = read(api[0])
    assert told.complete
    assert told.etcd is not None
    assert (told.etcd.member, told.etcd.leader, [one.name for one in told.etcd.members]) == ("1f", "2e", ["node01", ""])
    assert read(store.requests[0][3]).complete, "who launches asks the API only once it hears that it is up"


def test_while_no_api_answers_the_store_hears_it(system: System, store: Store, no_api: None) -> None:
    assert status.tell(status.report(*status.observe()))
    assert read(store.requests[0][3]).complete


def test_before_the_kubelet_runs_no_api_is_asked(system: System, store: Store, api: list[str]) -> None:
    system.units["kubelet.service"] = said(ActiveState="activating", **{status.BEGAN: "5000000"})
    assert status.tell(status.report(*status.observe()))
    assert (len(api), len(store.requests)) == (0, 1)


def test_before_the_bundle_is_here_nothing_vouches(system: System, store: Store) -> None:
    here.at(vouch.KEY).unlink()
    system.units["kubelet.service"] = said()
    assert status.tell(status.report(*status.observe()))
    found = node_report.read(store.requests[0][3], "node01", CLUSTER_ID, KEY)
    assert found
    assert not found[2]


def test_a_worker_has_no_phases_of_the_control_plane(system: System) -> None:
    for unit in ("etcd.service", "kube-apiserver.service", "hardway-bootstrap.service"):
        system.units[unit] = said(LoadState="not-found")
    assert tuple(phase.name for phase in status.observe()[0]) == phases_of(control_plane=False)


def test_what_runs_again_and_again_is_told_as_it_was_at_first(system: System) -> None:
    roster = "hardway-roster.service"
    first = None
    for began, ended in ((2, 3), (60, 61), (120, 121)):
        for state, down in (("activating", ended - 59), ("inactive", ended)):
            times = {status.BEGAN: f"{began}000000", status.DOWN: f"{max(down, 0)}000000"}
            system.units[roster] = said(ActiveState=state, **times)
            found = status.report(*status.observe())
            phase = next(one for one in found["phases"] if one["name"] == "roster")
            told = [one for one in found["timeline"] if one["name"] == "roster"]
        first = first or (phase, told)
        assert (phase, told) == first
        assert all(one["began"] <= one["ended"] for one in told)


def test_a_step_that_is_tried_again_says_why(system: System) -> None:
    system.units["hardway-mesh.service"] = said(ActiveState="activating", NRestarts="1", **{status.BEGAN: "5000000"})
    found = status.report(*status.observe())
    assert found["phase"] == "mesh"
    assert found["failure"] == {"unit": "hardway-mesh.service", "lines": ["one", "two"]}
    assert [phase["state"] for phase in found["phases"] if phase["name"] == "mesh"] == ["running"]


def test_what_is_no_phase_is_news_when_it_fails(system: System) -> None:
    system.units["hardway-firewall.service"] = said(
        ActiveState="failed", Result="exit-code", **{status.DOWN: "8000000"}
    )
    system.units["kubelet.service"] = said()
    found = status.report(*status.observe())
    assert found["phase"] == "kubelet"
    assert found["failure"]["unit"] == "hardway-firewall.service"
    assert "hardway-firewall" not in {phase["name"] for phase in found["phases"]}


def test_last_lines_are_few_and_hold_no_signature(system: System) -> None:
    long = "x" * 390
    system.journal = f"{long}\n" * 30 + "GET https://h/b?X-Amz-Signature=canary&x=1 failed\nlast\n"
    lines = status.last_lines("etcd.service")
    assert len(json.dumps(lines)) <= status.LIMIT_BYTES
    assert lines[-2:] == ["GET ... failed", "last"]


def test_the_phases_are_those_that_the_launch_knows() -> None:
    assert tuple(status.PHASES) == node_report.PHASES


class EnoughError(Exception):
    """A test has seen what it wanted."""


def test_tells_changes_once_and_goes_on_when_the_store_listens_no_more(
    system: System, store: Store, api: list[str], monkeypatch: pytest.MonkeyPatch, no_waiting: list[float]
) -> None:
    system.units["kubelet.service"] = said(ActiveState="activating", **{status.BEGAN: "5000000"})

    class Late(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(UTC) + timedelta(hours=3)

    def later(seconds: float) -> None:
        no_waiting.append(seconds)
        if len(no_waiting) == 3:
            monkeypatch.setattr(status, "datetime", Late)
            system.units["kubelet.service"] = said(ActiveState="active", **{status.UP: "9000000"})
        if len(no_waiting) == 6:
            system.units["etcd.service"] = said(ActiveState="failed", Result="exit-code", **{status.DOWN: "8000000"})
        if len(no_waiting) == 9:
            raise EnoughError

    told: list[str] = []
    monkeypatch.setattr(here, "console", told.append)
    monkeypatch.setattr(status.time, "sleep", later)
    with pytest.raises(EnoughError):
        status.step()
    assert len(store.requests) == 1, "later on its address has expired"
    assert read(api[0]).current is None
    assert [read(text).done("etcd") for text in api] == [True, False]
    assert told.count("hardway node01: kubelet running") == 1
    assert told[-1] == "hardway node01: etcd failed"
    assert no_waiting[3:6] == [status.SETTLED_PAUSE_SECONDS] * 3, "who has nothing to say looks less often"


def test_what_says_nothing_new_is_said_again_after_a_while(
    system: System, api: list[str], monkeypatch: pytest.MonkeyPatch, no_waiting: list[float]
) -> None:
    def later(seconds: float) -> None:
        no_waiting.append(seconds)
        if sum(no_waiting) > 2.5 * status.AGAIN_SECONDS:
            raise EnoughError

    monkeypatch.setattr(status.time, "sleep", later)
    with pytest.raises(EnoughError):
        status.step()
    assert len(api) == 3


def test_who_is_away_is_tried_again(
    system: System, store: Store, no_api: None, monkeypatch: pytest.MonkeyPatch, no_waiting: list[float]
) -> None:
    store.answers["/status"] = Answer(status=503)

    def later(seconds: float) -> None:
        no_waiting.append(seconds)
        if len(no_waiting) == 3:
            store.answers["/status"] = Answer()
        if len(no_waiting) == 6:
            raise EnoughError

    monkeypatch.setattr(status.time, "sleep", later)
    with pytest.raises(EnoughError):
        status.step()
    assert len(store.requests) == 4


def test_how_full_its_volumes_are_is_in_the_report(
    system: System, api: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mounted, "uses", lambda: [mounted.Use("data", 97, "")])
    assert status.tell(status.report(*status.observe()))
    assert read(api[0]).volumes == (node_report.VolumeUse("data", 97),)
