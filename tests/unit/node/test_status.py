"""What a node tells of itself: what systemd says, in the form the launch reads, without a secret."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hardway import here, status

from generator.cluster import node_report
from tests.phases import phases_of

from .conftest import Answer, Store

WAITING = {"ActiveState": "inactive", "Result": "success", "NRestarts": "0", "LoadState": "loaded"}
TIMES = {status.BEGAN: "", status.UP: "", status.DOWN: ""}


def said(**changes: str) -> dict[str, str]:
    return {**WAITING, **TIMES, **changes}


@pytest.mark.parametrize(
    ("changes", "state", "since"),
    [
        ({}, "waiting", None),
        ({"ActiveState": "activating", status.BEGAN: "@5"}, "running", 5),
        ({"ActiveState": "activating", status.BEGAN: "@5", "NRestarts": "2", "Result": "exit-code"}, "running", 5),
        ({"ActiveState": "activating", status.BEGAN: "@5", "NRestarts": "3"}, "failed", 5),
        ({"ActiveState": "active", status.BEGAN: "@5", status.UP: "@7"}, "done", 7),
        ({"ActiveState": "active", status.UP: "@7", "NRestarts": "9"}, "done", 7),
        ({"ActiveState": "failed", status.DOWN: "@8", "Result": "exit-code"}, "failed", 8),
        ({status.BEGAN: "@5", status.DOWN: "@6"}, "done", 6),
        ({"ActiveState": "activating", status.BEGAN: "@9", status.DOWN: "@6"}, "done", 6),
    ],
)
def test_a_phase_is_what_its_unit_is(changes: dict[str, str], state: str, since: int | None) -> None:
    found = status.phase_of("roster", "hardway-roster.service", said(**changes))
    assert (found.state, found.since) == (state, since)


class System:
    """Answers `systemctl show` and `journalctl`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.units = {
            unit: said(ActiveState="active", **{status.UP: "@7"}) for unit in (*status.PHASES.values(), *status.ALSO)
        }
        self.journal = "one\ntwo\n"
        monkeypatch.setattr(here, "run", self.run)

    def run(self, program: str, *words: str) -> str:
        if program == "journalctl":
            return self.journal
        blocks = [self.units[word] for word in words if word in self.units]
        return "\n\n".join("\n".join(f"{key}={value}" for key, value in block.items()) for block in blocks) + "\n"


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch, facts: dict[str, Any], launch: dict[str, Any], store: Store) -> System:
    here.write("/proc/sys/kernel/random/boot_id", "boot\n")
    here.write("/dev/console", "")
    here.write(here.ROSTER, '{"generation": 7}')
    store.answers["/status"] = Answer()
    return System(monkeypatch)


def test_the_launch_reads_it(system: System, store: Store) -> None:
    system.units["etcd.service"] = said(ActiveState="failed", Result="exit-code", **{status.DOWN: "@8"})
    system.units["kube-apiserver.service"] = said()
    found = status.report(*status.observe())
    assert status.put(here.launch(), found)
    told = node_report.read(store.requests[0][3], "node01")
    assert told
    assert (told.boot_id, told.generation) == ("boot", 7)
    assert told.current
    assert told.current.name == "etcd"
    assert told.failure == node_report.Failure("etcd.service", ("one", "two"))
    assert [phase.name for phase in told.phases] == list(node_report.PHASES)
    assert (told.state("api"), told.done("mesh")) == ("waiting", True)


def test_all_done_is_complete(system: System, store: Store) -> None:
    found = status.report(*status.observe())
    assert (found["phase"], found["failure"]) == (status.ALL_DONE, None)
    status.put(here.launch(), found)
    told = node_report.read(store.requests[0][3], "node01")
    assert told
    assert told.complete


def test_a_worker_has_no_phases_of_the_control_plane(system: System) -> None:
    for unit in ("etcd.service", "kube-apiserver.service", "hardway-bootstrap.service"):
        system.units[unit] = said(LoadState="not-found")
    assert tuple(phase.name for phase in status.observe()[0]) == phases_of(control_plane=False)


def test_a_step_that_is_tried_again_says_why(system: System) -> None:
    system.units["hardway-mesh.service"] = said(ActiveState="activating", NRestarts="1", **{status.BEGAN: "@5"})
    found = status.report(*status.observe())
    assert found["phase"] == "mesh"
    assert found["failure"] == {"unit": "hardway-mesh.service", "lines": ["one", "two"]}
    assert [phase["state"] for phase in found["phases"] if phase["name"] == "mesh"] == ["running"]


def test_what_is_no_phase_is_news_when_it_fails(system: System) -> None:
    system.units["hardway-firewall.service"] = said(ActiveState="failed", Result="exit-code", **{status.DOWN: "@8"})
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


def test_tells_changes_once_and_ends_when_nobody_listens(
    system: System, store: Store, monkeypatch: pytest.MonkeyPatch, no_waiting: list[float]
) -> None:
    system.units["kubelet.service"] = said(ActiveState="activating", **{status.BEGAN: "@5"})

    def later(seconds: float) -> None:
        no_waiting.append(seconds)
        if len(no_waiting) == 3:
            system.units["kubelet.service"] = said(ActiveState="active", **{status.UP: "@9"})
        if len(no_waiting) == 6:
            monkeypatch.setattr(status, "datetime", Late)

    class Late(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(UTC) + timedelta(hours=3)

    told: list[str] = []
    monkeypatch.setattr(here, "console", told.append)
    monkeypatch.setattr(status.time, "sleep", later)
    status.step()
    assert len(store.requests) == 2
    assert told.count("hardway node01: kubelet running") == 1
    assert told[-1] == "hardway node01: kubelet done"


def test_a_store_that_is_away_is_tried_again(
    system: System, store: Store, monkeypatch: pytest.MonkeyPatch, no_waiting: list[float]
) -> None:
    class EnoughError(Exception):
        pass

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
