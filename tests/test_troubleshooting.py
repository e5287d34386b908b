"""What `docs/troubleshooting.md` quotes is what the program and its nodes print, and what it links to is there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from generator.cli.main import VERBS

from . import reference
from .reference import errors, printed

PAGE = (reference.ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"(?<=\n\n)(?:    .*\n)+", PAGE.split("\n\nAll problems", 1)[1])
KNOWN = errors.hinted(printed.errors())
LINKED = re.findall(r"\]\(reference/errors\.md#([^)]+)\)", PAGE)
COMPLETE = (
    "cluster/kinds/canary",
    "cluster/launch_lock",
    "cluster/preflight",
    "cluster/readiness",
    "lab/machines/requirements",
)
"""Of whom a first hour may hear anything: each of their errors is on the page."""


def quoted() -> Iterator[tuple[str, str]]:
    """Give each line that is quoted, with the hint below it."""
    for block in BLOCKS:
        lines = [line.strip() for line in block.splitlines()]
        for line, below in zip(lines, [*lines[1:], ""], strict=True):
            if not line.startswith("hint: "):
                yield line, below.removeprefix("hint: ") if below.startswith("hint: ") else ""


ERRORS = [pair for pair in quoted() if pair[0].startswith("error: ")]
LINES = [pair for pair in quoted() if not pair[0].startswith("error: ")]


def is_said(text: str) -> bool:
    """Tell whether a line, or a part of it between colons, is a text of the program."""
    parts = text.split(": ")
    runs = (": ".join(parts[i:j]) for i in range(len(parts)) for j in range(i + 1, len(parts) + 1))
    return any(printed.fits(pattern, run, is_after_a_place=True) for run in runs for pattern in printed.sentences())


def test_there_is_something_to_hold() -> None:
    assert len(ERRORS) > 30
    assert len(LINES) > 20
    assert not is_said("error: node01: the moon is full, and nobody answers")


@pytest.mark.parametrize(("line", "hint"), ERRORS)
def test_an_error_is_one_of_the_program_and_links_to_its_anchor(line: str, hint: str) -> None:
    if hint:
        assert {one.anchor for one in errors.said(KNOWN.values(), line, hint)} & set(LINKED)
    else:
        texts = [text for one in printed.errors() for text in one.messages if len(printed.words(text)) > 1]
        assert any(printed.fits(text, line.removeprefix("error: "), is_after_a_place=True) for text in texts)


@pytest.mark.parametrize(("line", "hint"), LINES)
def test_any_other_line_is_said_somewhere(line: str, hint: str) -> None:
    assert is_said(line)
    assert not hint or is_said(hint)


def test_anchors_are_there() -> None:
    assert set(LINKED) <= KNOWN.keys()


@pytest.mark.parametrize("module", COMPLETE)
def test_every_hint_of_a_likely_place_is_explained(module: str) -> None:
    own = {anchor for anchor, error in KNOWN.items() if f"generator/{module}.py" in error.paths}
    assert own
    assert own <= set(LINKED)


def test_every_phase_has_its_section_in_order() -> None:
    source = ast.parse((reference.ROOT / "userdata/agent/usr/local/lib/hardway/status.py").read_text())
    values = [
        node.value for node in source.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "PHASES"
    ]
    phases = ast.literal_eval(values[0])
    chapter = PAGE.split("\n## The phases of a node\n")[1].split("\n## ")[0]
    assert re.findall(r"^### (\w+)\n\n`([\w.-]+)`", chapter, re.MULTILINE) == list(phases.items())


def test_commands_are_there() -> None:
    assert set(re.findall(r"`gen ([a-z]+)", PAGE)) <= set(VERBS)
