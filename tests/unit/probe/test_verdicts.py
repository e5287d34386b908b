"""Each belief is told from a wrong answer to it, and says where in the lab it lives."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from generator.lab.unkindness import Unkindness
from generator.probe import beliefs, verdicts
from generator.probe.beliefs import PHASES, Belief
from generator.probe.verdicts import Row
from tests.unit.probe.believed import as_believed, put, right, wrong

ROOT = Path(__file__).parents[3]
BELIEFS = beliefs.load()


def answers() -> dict[str, Any]:
    """Give all answers as they are believed to be."""
    found: dict[str, Any] = {}
    for belief in BELIEFS:
        put(found, belief.fact, right(belief))
    return found


def told(rows: Iterable[Row]) -> list[str]:
    return [row.belief.id for row in rows]


def test_what_is_believed_is_as_believed() -> None:
    rows = verdicts.judge(BELIEFS, answers(), PHASES, in_lab=False)
    assert {row.verdict for row in rows} == {"as believed"}
    assert told(rows) == [belief.id for belief in BELIEFS]


@pytest.mark.parametrize("belief", BELIEFS, ids=lambda belief: belief.id)
def test_one_wrong_answer_is_told_alone_with_what_has_to_change(belief: Belief) -> None:
    found = answers()
    put(found, belief.fact, wrong(belief))
    rows = verdicts.judge(BELIEFS, found, PHASES, in_lab=False)
    (row,) = verdicts.differing(rows)
    assert row.belief == belief
    assert f"`{belief.lab.switch}` in {belief.lab.file}" in row.advice
    assert (f"`{belief.code.name}` in {belief.code.file} rests on it" in row.advice) if belief.code else True
    assert verdicts.unanswered(rows) == ()


@pytest.mark.parametrize("belief", BELIEFS, ids=lambda belief: belief.id)
@pytest.mark.parametrize("odd", [{}, {"a": []}, [{}], "\x1b[2J", 3.5, ["x" * 9]], ids=str)
def test_an_answer_of_another_kind_is_another_answer(belief: Belief, odd: Any) -> None:
    found = answers()
    put(found, belief.fact, odd)
    lacks = "lacks" in belief.expect and isinstance(odd, list)
    fits = lacks or (odd == 3.5 and belief.expect.keys() & {"at_most", "at_least"})
    assert told(verdicts.differing(verdicts.judge(BELIEFS, found, PHASES, in_lab=False))) == (
        [] if fits and _in_bounds(belief, odd) else [belief.id]
    )


def _in_bounds(belief: Belief, odd: Any) -> bool:
    ((how, value),) = belief.expect.items()
    return how == "lacks" or (odd >= value if how == "at_least" else odd <= value)


def test_what_nobody_said_is_not_answered() -> None:
    rows = verdicts.judge(BELIEFS, as_believed("node"), ("node", "two"), in_lab=False)
    assert {row.belief.phase for row in verdicts.unanswered(rows)} == {"two"}
    assert verdicts.differing(rows) == ()


def test_the_lab_does_not_say_what_it_cannot() -> None:
    found = answers()
    limited = [belief for belief in BELIEFS if belief.lab.limit]
    for belief in limited:
        put(found, belief.fact, wrong(belief))
    rows = verdicts.judge(BELIEFS, found, PHASES, in_lab=True)
    assert [row.belief for row in rows if row.verdict == "can't tell"] == limited
    assert verdicts.differing(rows) == ()


def test_the_lab_cannot_say_the_less() -> None:
    """A limit is a reason not to ask: there are no more of them than are argued for here."""
    assert [belief.id for belief in BELIEFS if belief.lab.limit] == [
        *("kernel", "kernel-modules", "console", "cgroup", "apparmor", "virtualization", "boot", "tmpfiles", "time"),
        *("sync", "downloads", "lifecycle", "key-policy"),
    ]


def test_a_row_shows_both_the_lab_and_the_cloud() -> None:
    (row,) = verdicts.judge([BELIEFS[0]], {"kernel": {"release": "6.1"}}, PHASES, in_lab=False)
    assert row.cells(in_lab=False)[2:] == ("machines share the host's kernel", "6.1", "differs")
    (row,) = verdicts.judge([BELIEFS[0]], {"kernel": {"release": "6.1"}}, PHASES, in_lab=True)
    assert row.cells(in_lab=True)[2:] == ("6.1", r"like \+deb13.*-amd64$", "can't tell")


@pytest.mark.parametrize("belief", BELIEFS, ids=lambda belief: belief.id)
def test_the_labs_file_has_the_switch(belief: Belief) -> None:
    assert belief.lab.switch in (ROOT / belief.lab.file).read_text()
    assert belief.belief.endswith(".")
    assert ": " in belief.source or " " in belief.source or belief.source.startswith("https://")


KINDS = ("volumes", "addresses", "keys")
LAB_ALONE = ("volume-detach", "address-taken", "address-told", "address-anchor")


@pytest.mark.parametrize("belief", [one for one in BELIEFS if one.phase in KINDS], ids=lambda belief: belief.id)
def test_the_code_that_rests_on_it_is_there(belief: Belief) -> None:
    """What is believed of things that clusters own is needed by something, but for what only the lab imitates."""
    assert (belief.code is None) == (belief.id in LAB_ALONE)
    if belief.code is not None:
        assert belief.code.name in (ROOT / belief.code.file).read_text()


def test_what_an_account_cannot_be_asked_is_no_fault() -> None:
    found = answers()
    del found["keys"]
    rows = verdicts.judge(BELIEFS, found, PHASES, in_lab=False, not_asked={"keys": "the token may not"})
    left_out = [row for row in rows if row.verdict == "not asked"]
    assert {row.belief.phase for row in left_out} == {"keys"}
    assert {row.cells(in_lab=False)[3] for row in left_out} == {"the token may not"}
    assert {row.facts["why"] for row in left_out} == {"the token may not"}
    assert (verdicts.differing(rows), verdicts.unanswered(rows)) == ((), ())


def test_what_was_answered_before_it_could_not_be_asked_counts() -> None:
    found = {"volumes": {"limit": 1}}
    rows = verdicts.judge(BELIEFS, found, ("volumes",), in_lab=False, not_asked={"volumes": "the token may not"})
    assert told(verdicts.differing(rows)) == ["volume-limit"]


def test_every_unkindness_is_a_belief() -> None:
    switches = {belief.lab.switch for belief in BELIEFS if belief.lab.file == "generator/lab/unkindness.py"}
    # chance is no behaviour, a minute's requests can't be counted without spending them, accounts differ, and whose
    # address a droplet gets shows only after many
    untold = {"seed", "requests_per_minute", "account_status", "missing_scope", "recycled_addresses"}
    assert {field.name for field in fields(Unkindness)} - switches == untold
    assert switches <= {field.name for field in fields(Unkindness)}


@pytest.mark.parametrize("belief", [one for one in BELIEFS if one.lab.switch.endswith("_lag")], ids=lambda one: one.id)
def test_the_lab_plays_no_lag_that_is_not_believed(belief: Belief) -> None:
    assert 0 < getattr(Unkindness(), belief.lab.switch) * 1000 <= belief.expect["at_most"]
