"""The pages of the reference are what the program says of itself today."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest

from generator.cli.main import VERBS

from . import reference
from .reference import errors, printed

ROOT = reference.ROOT
PASS_ON = {
    "generator/cluster/assembly.py",
    "generator/cluster/kinds/roster.py",
    "generator/cluster/preflight.py",
    "generator/description/load.py",
    "generator/description/tutorial.py",
    "generator/lab/daemon/control.py",
    "generator/manifests/kustomization.py",
    "generator/pki/check.py",
    "generator/pki/store.py",
    "generator/strict_yaml.py",
    "generator/validation.py",
}
"""Where an error is made of words that another place has found, and that are read there."""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    return reference.pages(tmp_path_factory.mktemp("reference"))


@pytest.mark.parametrize("name", ["description.md", "commands.md", "words.md", "errors.md"])
def test_the_page_is_fresh(pages: Mapping[str, str], name: str) -> None:
    page = reference.DIRECTORY / name
    assert page.exists(), f"docs/reference/{name} is missing: run `{reference.COMMAND}`"
    assert page.read_text() == pages[name], f"docs/reference/{name} is stale: run `{reference.COMMAND}`, read the diff"


def test_no_page_is_left_over(pages: Mapping[str, str]) -> None:
    assert {page.name for page in reference.DIRECTORY.iterdir()} == set(pages)


def test_a_narrow_terminal_makes_the_same_page(pages: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    assert reference.MADE + reference.commands.page() == pages["commands.md"]


def test_every_verb_has_its_heading(pages: Mapping[str, str]) -> None:
    for verb in VERBS:
        assert f"\n## `gen {verb}`\n" in pages["commands.md"]


def test_words_are_in_order_and_said_once() -> None:
    words = [one.word for one in reference.words.WORDS]
    assert words == sorted(set(words))


def test_every_error_with_a_hint_has_its_anchor(pages: Mapping[str, str]) -> None:
    hinted = [one for one in printed.errors() if one.has_hint]
    assert {one.path for one in hinted if one.is_passed_on} == PASS_ON
    for one in hinted:
        for message in one.messages if not one.is_passed_on else ():
            assert f"\n    error: {message}\n      hint: " in pages["errors.md"], f"{one.path}:{one.line}"
            assert one.hints, f"{one.path}:{one.line}: its hint is made in a way that nobody can read"


def test_anchors_are_headings_that_are_there_once(pages: Mapping[str, str]) -> None:
    anchors = re.findall(r"^### (.*)$", pages["errors.md"], re.MULTILINE)
    assert anchors == sorted(set(anchors), key=anchors.index)
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", anchor) for anchor in anchors)


def test_what_mistakes_print_is_among_the_errors() -> None:
    known = errors.hinted(printed.errors()).values()
    text = "".join(file.read_text() for file in sorted((ROOT / "tests" / "mistakes").glob("*.txt")))
    shown = re.findall(r"^(error: .*)\n  hint: (.*)$", text, re.MULTILINE)
    assert len(shown) > 20
    assert [pair for pair in shown if not errors.said(known, *pair)] == []


def test_what_stops_a_launch_is_among_the_errors() -> None:
    known = errors.hinted(printed.errors()).values()
    cases = "".join(file.read_text() for file in sorted((ROOT / "tests" / "launch").glob("*.json")))
    refused = re.findall(r'"refuse [^"(]*\((.*)\) hint: (.*)",?$', cases, re.MULTILINE)
    assert len(refused) > 5
    assert [pair for pair in refused if not errors.said(known, *pair)] == []
