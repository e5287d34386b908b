"""The pages of the reference are what the program says of itself today."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from generator.cli.main import VERBS

from . import reference


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    return reference.pages(tmp_path_factory.mktemp("reference"))


@pytest.mark.parametrize("name", ["description.md", "commands.md", "words.md"])
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
