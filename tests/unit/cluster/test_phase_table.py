from __future__ import annotations

import io
from dataclasses import replace
from datetime import timedelta

import pytest
from rich.console import Console

from generator.cluster.node_report import PHASES, Failure, Phase, Progress
from generator.cluster.observed import DROPLETS, Observed, Report
from generator.cluster.phase_table import FAILED_ROWS, MOST_ROWS, PhaseTable, Row, condensed, last_words, rows
from generator.provider.resources import Droplet
from tests.keyring import NOW, planned

PLAN = planned(workers=0)


def droplet(number: int, **changes: object) -> Droplet:
    name = f"node{number:02}"
    tags = (PLAN.cluster_tag, PLAN.node_tag(PLAN.node(name)))
    made = Droplet(number, name, "active", "fra1", "s-2vcpu-4gb", tags, NOW - timedelta(minutes=2))
    return replace(made, **changes)  # type: ignore[arg-type]


def report(node: str, *phases: Phase, age: int = 10) -> Report:
    return Report(NOW - timedelta(seconds=age), Progress(node, 1, phases))


def observed() -> Observed:
    reports = {
        "node01": report("node01", Phase("prepare", "done"), Phase("etcd", "running", NOW - timedelta(seconds=65))),
        "node02": report("node02", Phase("prepare", "done"), age=600),
    }
    return Observed(NOW, reports).having(DROPLETS, (droplet(1), droplet(2)))


def shown(*states: Observed, terminal: bool, width: int = 120) -> str:
    out = io.StringIO()
    with PhaseTable(Console(file=out, force_terminal=terminal, width=width, color_system=None)) as watch:
        for state in states:
            watch.show(rows(PLAN, state), state.time)
            watch.say("published \x1b[31m[bold]the roster[/bold]")
    return out.getvalue()


def test_each_node_says_what_it_is_at() -> None:
    assert [(row.node, row.now) for row in rows(PLAN, observed())] == [
        ("node01", "etcd running"),
        ("node02", "droplet is active"),
        ("node03", "no droplet"),
    ]


def test_elsewhere_a_line_is_shown_for_each_change() -> None:
    later = NOW + timedelta(seconds=30)
    done = report("node01", Phase("prepare", "done"), Phase("etcd", "done"), Phase("api", "running", later))
    after = replace(observed(), time=later, reports={"node01": done})
    lines = shown(observed(), observed(), after, terminal=False).splitlines()
    assert lines.count("node01: etcd running") == 1
    assert "node01: api running (etcd running took 1m35s)" in lines
    assert lines.count("node03: no droplet") == 1


def test_what_is_said_is_shown_as_it_is() -> None:
    assert "published [31m[bold]the roster[/bold]" in shown(observed(), terminal=False)


def test_a_terminal_gets_a_table() -> None:
    text = shown(observed(), terminal=True)
    assert "etcd running, 1m05s" in text
    assert "✓" in text
    assert "prepare" in text


def test_a_narrow_terminal_gets_it_too() -> None:
    lines = shown(observed(), terminal=True, width=60).splitlines()
    assert any(line.split() == ["node01", "✓▸", "etcd", "running,", "1m05s"] for line in lines)


def test_the_last_words_name_the_unit_and_its_lines() -> None:
    told = Progress("node01", 1, (Phase("etcd", "failed"),), Failure("etcd.service", ("one", "two")))
    assert last_words("node01", told) == (
        "node01: etcd failed, unit etcd.service",
        "  node01 | one",
        "  node01 | two",
    )
    waiting = Progress("node01", 1, (Phase("mesh", "running", None, "hardway-mesh.service"),))
    assert last_words("node01", waiting) == ("node01: mesh running, unit hardway-mesh.service",)


def crowd(*states: tuple[str, str], count: int = 500) -> tuple[Row, ...]:
    """Give many nodes, which are all up but for the first few."""
    up = tuple(
        Row(f"worker{number:03}", (("prepare", "done"), ("node", "done")), "done", NOW) for number in range(count)
    )
    first = (
        replace(up[at], now=now, states=(("prepare", state), ("node", "waiting")))
        for at, (now, state) in enumerate(states)
    )
    return (*first, *up[len(states) :])


def test_many_nodes_share_rows_and_those_that_need_somebody_come_first() -> None:
    booting = ("prepare running", "running")
    found = condensed(crowd(booting, booting, ("prepare failed", "failed"), ("prepare failed, tries again", "running")))
    assert [(row.node, row.now) for row in found] == [
        ("worker002", "prepare failed"),
        ("worker003", "prepare failed, tries again"),
        ("worker000 and 1 more", "prepare running"),
        ("worker004 and 495 more", "done"),
    ]


def test_few_nodes_have_a_row_each() -> None:
    assert condensed(crowd(count=MOST_ROWS)) == crowd(count=MOST_ROWS)


@pytest.mark.parametrize("failed", [0, 1, FAILED_ROWS, FAILED_ROWS + 1, 500])
def test_however_many_nodes_there_are_the_rows_fit_a_screen(failed: int) -> None:
    steps = [(f"{phase} running", "running") for phase in PHASES] * 30
    found = condensed(crowd(*[("etcd failed", "failed")] * failed, *steps[: 500 - failed]))
    assert len(found) <= MOST_ROWS
    assert ("failed" in found[0].now) == (failed > 0)


def test_rows_that_are_left_out_are_counted() -> None:
    each = [(f"step{number:02} running", "running") for number in range(MOST_ROWS + 5)]
    found = condensed(crowd(*each))
    assert len(found) == MOST_ROWS
    assert found[-1].node == f"{500 - MOST_ROWS + 1} more"


def test_elsewhere_many_nodes_are_told_of_in_a_line_and_what_fails_by_name() -> None:
    out = io.StringIO()
    with PhaseTable(Console(file=out, width=200)) as watch:
        for shown in (
            crowd(("etcd running", "running")),
            crowd(("etcd running", "running")),
            crowd(("etcd failed", "failed")),
        ):
            watch.show(shown, NOW)
    assert out.getvalue().splitlines() == [
        "500 nodes: 1 etcd running, 499 done",
        "500 nodes: 1 etcd failed, 499 done",
        "worker000: etcd failed",
    ]


def test_a_terminal_gets_a_table_of_many() -> None:
    out = io.StringIO()
    with PhaseTable(Console(file=out, force_terminal=True, width=120, color_system=None)) as watch:
        watch.show(crowd(("etcd failed", "failed")), NOW)
    assert "worker001 and 498 more" in out.getvalue()
    assert len(out.getvalue().splitlines()) < MOST_ROWS
