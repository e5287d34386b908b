"""Reads what the suite reports, sums it up, and writes it as JUnit without the thousands that were not asked for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from rich.table import Table

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"


@dataclass(frozen=True)
class Spec:
    """One spec that ran, or that said at its beginning why it doesn't."""

    name: str
    state: str
    seconds: float
    why: str = ""


def read(file: Path) -> tuple[Spec, ...]:
    """Read the specs that were chosen, in the order of their names.

    Ginkgo calls both what nobody chose and what a spec itself gave up `skipped`: only the latter says why. What
    happened in the suite's own beginning or end counts when it failed, and so does a suite that failed otherwise.
    """
    found = []
    for suite in json.loads(file.read_text()):
        for spec in suite["SpecReports"] or ():
            state, message = str(spec["State"]), str(spec.get("Failure", {}).get("Message", ""))
            texts = [*(spec["ContainerHierarchyTexts"] or ()), spec["LeafNodeText"]]
            name = " ".join(text for text in texts if text) or f"[{spec['LeafNodeType']}]"
            is_spec = spec["LeafNodeType"] == "It"
            if state == PASSED and is_spec:
                found.append(Spec(name, PASSED, spec["RunTime"] / 1e9))
            elif state == SKIPPED and message and is_spec:
                found.append(Spec(name, SKIPPED, spec["RunTime"] / 1e9, message))
            elif state not in (PASSED, SKIPPED, "pending"):
                found.append(Spec(name, FAILED, spec["RunTime"] / 1e9, f"{state}: {message}"))
        if not suite["SuiteSucceeded"] and not any(spec.state == FAILED for spec in found):
            why = "; ".join(suite.get("SpecialSuiteFailureReasons") or ("it does not say why",))
            found.append(Spec("[suite]", FAILED, 0, why))
    return tuple(sorted(found, key=lambda spec: spec.name))


def is_passed(specs: Sequence[Spec], code: int) -> bool:
    """Tell whether something passed, nothing failed, and the suite ended well."""
    states = {spec.state for spec in specs}
    return code == 0 and PASSED in states and FAILED not in states


def table(specs: Sequence[Spec]) -> Table:
    """Show each spec, and why it did not pass."""
    shown = Table("spec", "", "s", "why", show_lines=False)
    for spec in specs:
        shown.add_row(
            spec.name, spec.state, f"{spec.seconds:.0f}", spec.why[:400], style="red" * (spec.state == FAILED)
        )
    return shown


def summary(specs: Sequence[Spec], seconds: float) -> str:
    """Sum up in one line."""
    counts = [f"{sum(spec.state == state for spec in specs)} {state}" for state in (PASSED, FAILED, SKIPPED)]
    return f"{', '.join(counts)} in {seconds:.0f} s"


def junit(specs: Sequence[Spec], seconds: float) -> bytes:
    """Write it as CI systems read it."""
    counts = {
        "failures": sum(spec.state == FAILED for spec in specs),
        "skipped": sum(spec.state == SKIPPED for spec in specs),
    }
    attributes = {"name": "conformance", "tests": str(len(specs)), "time": f"{seconds:.3f}"}
    root = ElementTree.Element("testsuite", attributes | {name: str(count) for name, count in counts.items()})
    for spec in specs:
        case = ElementTree.SubElement(root, "testcase", {"name": spec.name, "time": f"{spec.seconds:.3f}"})
        if spec.state != PASSED:
            kind = "failure" if spec.state == FAILED else "skipped"
            ElementTree.SubElement(case, kind, {"message": _plain(spec.why)})
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)


def _plain(text: str) -> str:
    """Leave out what XML can't hold."""
    return "".join(letter for letter in text if letter in "\t\n" or letter >= " ")
