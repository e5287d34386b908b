"""What a node says of itself: read with distrust, and believed only as far as the node's own key vouches for it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from generator.cluster import node_report
from generator.cluster.node_report import CONTEXT, Etcd, Failure, Member, Phase, Progress, VolumeUse
from generator.plain_text import clean
from tests.keyring import CLUSTER_ID
from tests.reports import KEY, wrapped

ETCD = {
    "member": "1f",
    "leader": "2e",
    "learner": False,
    "members": [{"id": "1f", "name": "node01", "urls": [], "learner": False}],
    "alarms": [],
}


def values(**changes: Any) -> dict[str, Any]:
    body = {
        "cluster_id": CLUSTER_ID,
        "node": "node01",
        "droplet": "11",
        "version": 2,
        "boot_id": "b0",
        "time": "2026-11-22T08:30:00Z",
        "generation": 5,
        "phase": "binaries",
        "phases": [
            {"name": "prepare", "state": "done", "since": "2026-11-22T08:29:00Z", "unit": "hardway-prepare.service"},
            {"name": "secrets", "state": "running", "since": None, "unit": "hardway-secrets.service"},
            {"name": "binaries", "state": "waiting", "since": None},
        ],
        "digests": {"agent": "a" * 64},
        "etcd": ETCD,
        "failure": None,
    }
    return body | changes


def told(**changes: Any) -> str:
    return wrapped(CONTEXT, values(**changes))


def read(text: bytes | str, key: bytes | None = KEY) -> Progress | None:
    found = node_report.read(text, "node01", CLUSTER_ID, key)
    return found[0] if found else None


def test_a_report_is_read() -> None:
    found = node_report.read(told(), "node01", CLUSTER_ID, KEY)
    assert found is not None
    report, at, is_vouched = found
    assert (at, is_vouched) == (datetime(2026, 11, 22, 8, 30, tzinfo=UTC), True)
    assert report.done("prepare")
    assert not report.done("secrets")
    assert report.state("etcd") is None
    assert report.current == Phase("secrets", "running", None, "hardway-secrets.service")
    assert not report.complete
    assert (report.droplet, report.generation, report.digests) == (11, 5, {"agent": "a" * 64})
    assert report.etcd == Etcd("1f", "2e", members=(Member("1f", "node01", learner=False),))


def test_a_failed_phase_is_the_current_one() -> None:
    phases = [{"name": "prepare", "state": "running"}, {"name": "mesh", "state": "failed"}]
    report = read(told(phases=phases, failure={"unit": "u", "lines": ["a", "b"]}))
    assert report is not None
    assert report.current is not None
    assert report.current.name == "mesh"
    assert report.failure == Failure("u", ("a", "b"))


ALL_DONE = [{"name": name, "state": "done"} for name in node_report.PHASES]
FORGERIES = {
    "no MAC": wrapped(CONTEXT, values(phases=ALL_DONE), None),
    "another key": wrapped(CONTEXT, values(phases=ALL_DONE), bytes(32)),
    "for something else": wrapped("hardway-answer-v1", values(phases=ALL_DONE)),
    "another cluster": wrapped(CONTEXT, values(phases=ALL_DONE, cluster_id="c" * 36)),
    "changed": wrapped(CONTEXT, values(phases=ALL_DONE)).replace("b0", "b1"),
}


@pytest.mark.parametrize("text", FORGERIES.values(), ids=FORGERIES)
def test_what_nobody_vouches_for_shows_the_first_phases_and_proves_nothing(text: str) -> None:
    found = node_report.read(text, "node01", CLUSTER_ID, KEY)
    assert found is not None
    report, _, is_vouched = found
    assert not is_vouched
    assert {phase.name for phase in report.phases if phase.state == "done"} == set(node_report.UNVOUCHED)


def test_without_the_operators_keys_nothing_is_vouched_for() -> None:
    found = node_report.read(told(), "node01", CLUSTER_ID, None)
    assert found is not None
    assert not found[2]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"\xff",
        b"[" * 100_000,
        b"{" + b" " * node_report.LIMIT_BYTES + b"}",
        json.dumps({"version": 1, "payload": "[" * 50_000, "mac": None}),
        json.dumps({"version": 1, "payload": "[]", "mac": None}),
        json.dumps({"version": 1, "payload": None, "mac": None}),
        json.dumps({"version": 1, "payload": json.dumps(values()), "mac": "no base64"}),
        json.dumps({"version": 1, "payload": json.dumps(values()), "mac": 5}),
        told(version=3),
        told(node="node02"),
        told(phases=None),
        told(phases=[None]),
        told(phases=[{"name": "prepare", "state": "\x1b[31m"}]),
        told(phases=[{"name": "prepare", "state": "done", "since": 5}]),
        told(phases=[{"name": "prepare", "state": "done", "since": "soon"}]),
        told(time="soon"),
        told(time=None),
        told(generation="many"),
        told(generation=1e999),
        told(digests=5),
        told(etcd=5),
        told(etcd={"member": "1f"}),
        told(etcd=ETCD | {"members": [5]}),
        told(etcd=ETCD | {"member": "\x1b[31m"}),
        told(failure={"lines": []}),
        told(failure={"unit": "u", "lines": 5}),
        told(failure="yes"),
    ],
)
def test_what_is_no_report_is_none(body: bytes | str) -> None:
    assert read(body) is None


@pytest.mark.parametrize("droplet", ["", "eleven", "-1", "1" * 30, None, [], {}, "١"])
def test_what_is_no_droplet_is_none(droplet: Any) -> None:
    report = read(told(droplet=droplet))
    assert report is not None
    assert report.droplet == 0


def test_what_a_node_says_can_do_nothing_to_a_terminal() -> None:
    hostile = "\x1b]0;owned\x07\x1b[2J\r\nok\u202e\u200b\x9b\x00"
    etcd = ETCD | {"alarms": [hostile], "members": [{"id": "1", "name": hostile, "learner": False}]}
    report = read(
        told(
            digests={"agent": hostile},
            etcd=etcd,
            failure={"unit": hostile, "lines": [hostile] * 500},
        )
    )
    assert report is not None
    assert report.failure is not None
    assert report.etcd is not None
    assert len(report.failure.lines) == node_report.LINES
    texts = [report.failure.unit, *report.failure.lines, *report.digests.values()]
    for text in (*texts, *report.etcd.alarms, report.etcd.members[0].name):
        assert text == "]0;owned[2Jok"


def test_words_in_any_language_stay() -> None:
    assert clean("naïve 日本 ✓ 100 %") == "naïve 日本 ✓ 100 %"


def test_unknown_phases_are_left_out() -> None:
    report = read(told(phases=[{"name": "party", "state": "done"}]))
    assert report is not None
    assert report.phases == ()
    assert not report.complete


def test_how_full_volumes_are_is_read() -> None:
    found = read(told(volumes=[{"name": "data", "percent": 97, "trouble": ""}, {"name": "more", "percent": 10}]))
    assert found is not None
    assert found.volumes == (VolumeUse("data", 97), VolumeUse("more", 10))
    assert read(told()).volumes == ()  # type: ignore[union-attr]
    wild = read(told(volumes=[{"name": "d\x1b[31m", "percent": 10**9, "trouble": "x" * 999}] * 40))
    assert wild is not None
    assert len(wild.volumes) == 15
    assert (wild.volumes[0].name, wild.volumes[0].percent, len(wild.volumes[0].trouble)) == ("d[31m", 100, 100)
    for wrong in (["data"], [{"name": "data"}], [{"name": "data", "percent": "much"}], 7):
        assert read(told(volumes=wrong)) is None
