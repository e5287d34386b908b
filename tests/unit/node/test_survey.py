"""What was probed is kept, told in reports without what changes at each look, and said when it is new."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hardway import here, paths, services, survey


@pytest.fixture
def found(facts: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the probes find; a test may change it."""
    here.write(here.ROSTER, json.dumps({"nodes": []}))
    said: dict[str, Any] = {
        "peers": [
            {"peer": "node02", "icmp": True, "tcp": True, "mtu": 1420, "cause": None},
            {"peer": "node03", "icmp": False, "tcp": False, "mtu": None, "cause": "no handshake with 10.110.0.4"},
            {"peer": "node04", "icmp": True, "tcp": True, "mtu": 1392, "cause": "MTU 1420 too large, 1392 passes"},
        ],
        "checks": {"dns": None, "egress": "pods do not reach it"},
    }
    monkeypatch.setattr(paths, "probe", lambda *_: said["peers"])
    monkeypatch.setattr(services, "probe", lambda *_: said["checks"])
    return said


def test_what_is_new_is_said_and_what_is_wrong_on_the_console_too(
    found: dict[str, Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []
    monkeypatch.setattr(here, "console", shown.append)
    here.write(survey.READY, "")
    survey.take()
    wrong = [
        "pods of node03 unreachable: no handshake with 10.110.0.4",
        "pods of node04 answer: MTU 1420 too large, 1392 passes",
        "egress: pods do not reach it",
    ]
    assert set(capsys.readouterr().out.splitlines()) == {
        "pods of node02 answer, packets of 1420 bytes pass",
        "dns: right",
        *wrong,
    }
    assert shown == [f"hardway node01: {line}" for line in wrong]
    survey.take()
    assert capsys.readouterr().out == ""
    found["checks"] = {"dns": None, "egress": None}
    survey.take()
    assert capsys.readouterr().out == "egress: right\n"
    assert len(shown) == 3


def test_a_node_that_is_not_ready_has_its_peers_alone_probed(found: dict[str, Any]) -> None:
    assert survey.take()["checks"] == {}


def test_a_report_says_what_is_wrong_and_how_much_there_is(found: dict[str, Any]) -> None:
    assert survey.told() is None
    here.write(survey.READY, "")
    survey.take()
    before = survey.told()
    assert before == {
        "peers": 3,
        "blocked": 2,
        "faults": [
            {"peer": "node03", "icmp": False, "cause": "no handshake with 10.110.0.4"},
            {"peer": "node04", "icmp": True, "cause": "MTU 1420 too large, 1392 passes"},
        ],
        "checks": {"egress": "pods do not reach it"},
    }
    survey.take()
    assert survey.told() == before, "a report that says nothing new is not sent"


def test_a_report_has_its_bounds(found: dict[str, Any]) -> None:
    found["peers"] = [found["peers"][1] | {"peer": f"node{number:03}"} for number in range(250)]
    survey.take()
    told = survey.told()
    assert told is not None
    assert (told["peers"], told["blocked"], len(told["faults"])) == (250, 250, survey.MOST_FAULTS)
