"""Lifecycle rules of a bucket beside the planned one."""

from __future__ import annotations

from typing import Any

import pytest

from generator.cluster.expiry_rules import destructive, foreign, is_planned, own, planned

PLANNED = planned("c")


def rule(prefix: str | None, /, **others: Any) -> dict[str, Any]:
    chosen = {} if prefix is None else {"Filter": {"Prefix": prefix}}
    return {"ID": "x", "Status": "Enabled", "Expiration": {"Days": 1}} | chosen | others


OWN_BUT_OTHER = [
    rule("c/"),
    rule("c/id/public/"),
    rule("c/bundles/", Status="Disabled"),
    rule("c/bundles/", Expiration={"Days": 2}),
    rule("c/bundles/", Expiration={"Date": "2030-01-01"}),
    rule("c/bundles/", AbortIncompleteMultipartUpload={"DaysAfterInitiation": 1}),
    {"ID": "x", "Status": "Enabled", "Filter": {"And": {"Prefix": "c/bundles/", "Tags": []}}},
]
DESTRUCTIVE = [
    rule(None),
    rule(""),
    rule("c"),
    rule(None, Prefix=""),
    rule(None, Filter={}),
    rule(None, Filter={"Tag": {"Key": "k", "Value": "v"}}),
    rule("", Expiration={"Date": "2030-01-01"}),
    rule("", Status="enabled"),
]
HARMLESS = [
    rule("d/"),
    rule("cc"),
    rule("", Status="Disabled"),
    {"ID": "x", "Status": "Enabled", "Filter": {}, "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}},
]


@pytest.mark.parametrize(
    "found", [PLANNED, {**PLANNED, "ID": "y"}, rule("c/bundles/"), rule(None, Prefix="c/bundles/")]
)
def test_what_is_planned_is_recognised(found: dict[str, Any]) -> None:
    assert is_planned([*HARMLESS, found], "c")
    assert not is_planned(HARMLESS, "c")
    assert not is_planned([found, found], "c")


@pytest.mark.parametrize("found", OWN_BUT_OTHER)
def test_our_own_that_is_other_is_replaced(found: dict[str, Any]) -> None:
    assert not is_planned([found], "c")
    assert not is_planned([found, PLANNED], "c")
    assert own([found, *HARMLESS], "c") == (found,)
    assert foreign([found, *HARMLESS], "c") == tuple(HARMLESS)
    assert list(destructive([found], "c")) == []


@pytest.mark.parametrize("found", DESTRUCTIVE)
def test_a_rule_that_deletes_what_is_ours_is_named(found: dict[str, Any]) -> None:
    assert "rule `x` deletes objects below" in "".join(destructive([found, *HARMLESS, PLANNED], "c"))


def test_what_leaves_ours_alone_is_left_alone() -> None:
    assert list(destructive([*HARMLESS, PLANNED], "c")) == []
