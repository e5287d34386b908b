"""What the suite reports is summed up as it happened."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

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
    file.write_text(json.dumps([{"SpecReports": reports}]))
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
