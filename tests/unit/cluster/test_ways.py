"""What nodes say of their paths is read without trust, put into sentences, and laid out as a table."""

from __future__ import annotations

from typing import Any

import pytest

from generator.cli.table import text_table
from generator.cluster import inquiry, ways
from generator.cluster.channel import Answer
from generator.cluster.inquiry import View
from generator.cluster.ways import Way, Ways
from tests.keyring import planned

RIGHT = {"peer": "node02", "icmp": True, "tcp": True, "mtu": 1420, "cause": None}
SILENT = {"peer": "node03", "icmp": False, "tcp": False, "mtu": None, "cause": "no handshake with 10.110.0.4"}
NARROW = {"peer": "node02", "icmp": True, "tcp": True, "mtu": 1392, "cause": "MTU 1420 too large, 1392 passes"}
DEAF = {"peer": "node02", "icmp": True, "tcp": False, "mtu": 1420, "cause": "ICMP passes, TCP does not"}
CHECKS = {"dns": None, "service": "10.43.0.1 does not answer", "egress": None}


def answer(*peers: dict[str, Any], checks: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"time": "2026-11-28T12:00:00Z", "peers": list(peers), "checks": checks or dict.fromkeys(CHECKS)}


def test_an_answer_and_a_report_say_the_same() -> None:
    asked = ways.read_ways(answer(RIGHT, SILENT, checks=CHECKS))
    faults = [{key: SILENT[key] for key in ("peer", "icmp", "cause")}]
    told = ways.read_told({"peers": 2, "blocked": 1, "faults": faults, "checks": {"service": CHECKS["service"]}})
    assert asked.reached == told.reached == "1 of 2"
    assert [*ways.faults({"node01": asked})] == [*ways.faults({"node01": told})]
    assert ways.read_told({"peers": 250, "blocked": 250, "faults": faults, "checks": {}}).reached == "0 of 250"


def test_an_older_node_lists_its_peers_alone() -> None:
    found = ways.read_ways([{"peer": "node02", "cause": None}, {"peer": "node03", "cause": "it is down"}])
    assert found.ways == (Way("node02", True), Way("node03", False, cause="it is down"))


@pytest.mark.parametrize("wrong", [None, 7, "text", {}, {"peers": 3}, {"peers": [7]}, answer({"peer": "x"})])
def test_what_is_no_answer_is_none(wrong: Any) -> None:
    with pytest.raises((KeyError, TypeError, ValueError, AttributeError)):
        ways.read_ways(wrong)


def test_nothing_of_it_moves_a_cursor() -> None:
    found = ways.read_ways(answer(SILENT | {"cause": "\x1b[2J" + "x" * 1000}, checks={"dns\n": "\x1b]0;title\x07"}))
    assert "\x1b" not in str(found)
    assert len(found.ways[0].cause) == ways.CAUSE_LENGTH


def test_who_sees_the_same_is_said_in_one_line() -> None:
    seen = {
        "node01": ways.read_ways(answer(NARROW, SILENT, checks=CHECKS)),
        "node02": ways.read_ways(answer(SILENT, checks=CHECKS | {"dns": "10.43.0.10 does not answer"})),
    }
    assert list(ways.faults(seen)) == [
        "DNS from node02: 10.43.0.10 does not answer",
        "pods of node02 from node01: MTU 1420 too large, 1392 passes",
        "pods of node03 unreachable from node01, node02: no handshake with 10.110.0.4",
        "the API's Service from node01, node02: 10.43.0.1 does not answer",
    ]


def test_the_matrix_shows_who_reaches_whom() -> None:
    worker = ways.read_told({"peers": 3, "blocked": 0, "faults": [], "checks": {}})
    seen = {
        "node01": ways.read_ways(answer(NARROW, SILENT, RIGHT | {"peer": "worker01"}, checks=CHECKS)),
        "node02": ways.read_ways(answer(DEAF | {"peer": "node01"}, SILENT, RIGHT | {"peer": "worker01"})),
        "worker01": worker,
    }
    names = ("node01", "node02", "node03", "worker01")
    assert text_table(*ways.matrix(names, seen)).splitlines() == [
        "FROM      REACHES  node01  node02  node03  worker01  DNS  SERVICE  EGRESS",
        "node01    1 of 3   -       1392!   no      1420      ok   no       ok",
        "node02    1 of 3   no TCP  -       no      1420      ok   ok       ok",
        "worker01  3 of 3   ok      ok      ok      -         ok   ok       ok",
    ]


def test_what_a_node_did_not_try_is_not_said_to_be_right() -> None:
    asked = ways.read_ways({"peers": [RIGHT], "checks": {"egress": None}})
    told = ways.read_told({"peers": 2, "blocked": 0, "faults": [], "checks": {}})
    seen = {"node01": asked, "node02": ways.read_ways([RIGHT | {"peer": "node01"}]), "node03": told}
    assert ways.matrix(("node01", "node02", "node03"), seen)[1] == [
        ("node01", "1 of 1", "-", "1420", "-", "-", "-", "ok"),
        ("node02", "1 of 1", "1420", "-", "-", "-", "-", "-"),
        ("node03", "2 of 2", "ok", "ok", "-", "ok", "ok", "ok"),
    ]


def test_of_many_nodes_those_alone_have_a_column_that_somebody_does_not_reach() -> None:
    names = [f"node{number:02}" for number in range(1, 251)]
    peers = [RIGHT | {"peer": name} for name in names[1:]]
    peers[1] = SILENT
    head, rows = ways.matrix(names, {"node01": ways.read_ways(answer(*peers))})
    assert head == ("FROM", "REACHES", "node03", "DNS", "SERVICE", "EGRESS")
    assert rows == [("node01", "248 of 249", "no", "ok", "ok", "ok")]


class Asked:
    """A channel whose nodes answer as they are told."""

    def __init__(self, **answers: Answer) -> None:
        self.answers = answers
        self.verbs: list[str] = []

    def ask(self, verb: str, nodes: Any, _: Any, *, patience: object) -> dict[str, Answer]:
        assert patience
        self.verbs.append(verb)
        return {node: self.answers[node] for node in nodes if node in self.answers}


def test_who_says_nothing_is_named_and_workers_have_reported() -> None:
    plan = planned(control_planes=3, workers=2)
    channel = Asked(node01=Answer("node01", answer(RIGHT)), node02=Answer("node02", None, "the agent knows no `paths`"))
    reports = {"worker01": Ways(4, ())}
    found = inquiry.survey(channel, plan, reports)  # type: ignore[arg-type]
    assert channel.verbs == ["paths"]
    assert set(found.ways) == {"node01", "worker01"}
    assert found.silent == {
        "node02": "the agent knows no `paths`",
        "node03": "it says nothing",
        "worker02": "has not said what it reaches",
    }
    assert found.reported == ("worker01",)


def test_an_inquiry_has_both() -> None:
    plan = planned(control_planes=1)
    trouble = {"trouble": "no leader"}
    channel = Asked(node01=Answer("node01", answer() | trouble))
    (view,) = inquiry.inquire(channel, plan)  # type: ignore[arg-type]
    assert isinstance(view, View)
    assert (view.etcd is not None, view.ways) == (True, Ways(0, (), dict.fromkeys(CHECKS, "")))
