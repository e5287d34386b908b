from __future__ import annotations

import json
from typing import Any

import pytest

from generator.cluster import node_report
from generator.cluster.node_report import Failure, Phase, clean, read


def told(**changes: Any) -> bytes:
    body = {
        "version": 1,
        "node": "node01",
        "boot_id": "b0",
        "time": "2026-11-22T08:30:00Z",
        "generation": 5,
        "phase": "binaries",
        "phases": [
            {"name": "prepare", "state": "done", "since": "2026-11-22T08:29:00Z", "unit": "hardway-prepare.service"},
            {"name": "secrets", "state": "running", "since": None, "unit": "hardway-secrets.service"},
            {"name": "binaries", "state": "waiting", "since": None},
        ],
        "failure": None,
    }
    return json.dumps(body | changes).encode()


def test_a_report_is_read() -> None:
    report = read(told(), "node01")
    assert report is not None
    assert report.done("prepare")
    assert not report.done("secrets")
    assert report.state("etcd") is None
    assert report.current == Phase("secrets", "running", None, "hardway-secrets.service")
    assert not report.complete


def test_a_failed_phase_is_the_current_one() -> None:
    phases = [{"name": "prepare", "state": "running"}, {"name": "mesh", "state": "failed"}]
    report = read(told(phases=phases, failure={"unit": "u", "lines": ["a", "b"]}), "node01")
    assert report is not None
    assert report.current is not None
    assert report.current.name == "mesh"
    assert report.failure == Failure("u", ("a", "b"))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"\xff",
        b"[" * 100_000,
        b"{" + b" " * node_report.LIMIT_BYTES + b"}",
        told(version=2),
        told(node="node02"),
        told(phases=None),
        told(phases=[None]),
        told(phases=[{"name": "prepare", "state": "\x1b[31m"}]),
        told(phases=[{"name": "prepare", "state": "done", "since": 5}]),
        told(phases=[{"name": "prepare", "state": "done", "since": "soon"}]),
        told(generation="many"),
        told(generation=1e999),
        told(failure={"lines": []}),
        told(failure={"unit": "u", "lines": 5}),
        told(failure="yes"),
    ],
)
def test_what_is_no_report_is_none(body: bytes) -> None:
    assert read(body, "node01") is None


def test_what_a_node_says_can_do_nothing_to_a_terminal() -> None:
    hostile = "\x1b]0;owned\x07\x1b[2J\r\nok\u202e\u200b\x9b\x00"
    report = read(told(boot_id=hostile, failure={"unit": hostile, "lines": [hostile] * 1000}), "node01")
    assert report is not None
    assert report.failure is not None
    assert len(report.failure.lines) == node_report.LINES
    for text in (report.boot_id, report.failure.unit, *report.failure.lines):
        assert text == "]0;owned[2Jok"


def test_words_in_any_language_stay() -> None:
    assert clean("naïve 日本 ✓ 100 %") == "naïve 日本 ✓ 100 %"


def test_unknown_phases_are_left_out() -> None:
    report = read(told(phases=[{"name": "party", "state": "done"}]), "node01")
    assert report is not None
    assert report.phases == ()
    assert not report.complete
