"""What the suite reports is summed up as it happened."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.conformance import report, selection
from tests.conformance.report import FAILED, PASSED, SKIPPED, Spec


def spec(text: str, state: str, message: str = "", kind: str = "It") -> dict[str, Any]:
    """Give a spec as Ginkgo reports it."""
    return {
        "ContainerHierarchyTexts": ["[sig-network] Services"],
        "LeafNodeText": text,
        "LeafNodeType": kind,
        "State": state,
        "RunTime": 2_000_000_000,
        **({"Failure": {"Message": message}} if message else {}),
    }


def test_what_nobody_chose_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    reports = [
        spec("b passes", "passed"),
        spec("a fails", "failed", "no answer"),
        spec("c gives up", "skipped", "needs three nodes"),
        spec("d was not chosen", "skipped"),
        spec("e hangs", "timedout", "a suite timeout occurred"),
        spec("", "passed", kind="SynchronizedBeforeSuite"),
        spec("", "panicked", "nil", kind="SynchronizedAfterSuite"),
    ]
    file.write_text(json.dumps([{"SuiteSucceeded": False, "SpecReports": reports}]))
    found = report.read(file)
    assert {(each.name, each.state) for each in found} == {
        ("[sig-network] Services b passes", PASSED),
        ("[sig-network] Services a fails", FAILED),
        ("[sig-network] Services c gives up", SKIPPED),
        ("[sig-network] Services e hangs", FAILED),
        ("[sig-network] Services", FAILED),
    }
    assert len(found) == 5
    assert report.summary(found, 60) == "1 passed, 3 failed, 1 skipped in 60 s"


@pytest.mark.parametrize(
    ("suite", "failed"),
    [
        ({"SuiteSucceeded": True}, []),
        ({"SuiteSucceeded": False}, [Spec("[suite]", FAILED, 0, "it does not say why")]),
        (
            {"SuiteSucceeded": False, "SpecialSuiteFailureReasons": ["Suite Timeout Elapsed", "Interrupted by User"]},
            [Spec("[suite]", FAILED, 0, "Suite Timeout Elapsed; Interrupted by User")],
        ),
    ],
)
def test_a_suite_fails_without_any_spec_too(tmp_path: Path, suite: dict[str, Any], failed: list[Spec]) -> None:
    file = tmp_path / "report.json"
    file.write_text(json.dumps([suite | {"SpecReports": [spec("b passes", "passed")]}]))
    assert [each for each in report.read(file) if each.state != PASSED] == failed


@pytest.mark.parametrize(
    ("states", "code", "is_passed"),
    [
        ([PASSED, SKIPPED], 0, True),
        ([PASSED], 1, False),
        ([PASSED], -9, False),
        ([PASSED, FAILED], 0, False),
        ([SKIPPED], 0, False),
        ([], 0, False),
    ],
)
def test_all_is_well_only_if_something_passed(states: list[str], code: int, is_passed: bool) -> None:
    assert report.is_passed([Spec("a", state, 1) for state in states], code) is is_passed


def test_junit_says_what_failed_and_why() -> None:
    specs = (Spec("a", PASSED, 1), Spec("b", FAILED, 2, "no\x1b[0m answer"), Spec("c", SKIPPED, 0, "no"))
    root = ElementTree.fromstring(report.junit(specs, 3))
    assert {name: root.get(name) for name in ("tests", "failures", "skipped")} == {
        "tests": "3",
        "failures": "1",
        "skipped": "1",
    }
    failure = root.find("testcase[@name='b']/failure")
    assert failure is not None
    assert failure.get("message") == "no[0m answer"


def test_what_is_left_out_has_a_reason() -> None:
    assert all(reason for reason in selection.LEFT_OUT.values())
    assert selection.skipped(["more"]).endswith("more")
