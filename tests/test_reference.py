"""The reference pages say what the program does now; `pytest tests/test_reference.py --update` writes them."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests import reference
from tests.conftest import TESTS, Golden

PLACE = TESTS.parent / "docs" / "reference"
PAGES = ("commands.md", "description.md", "words.md")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    return reference.pages(tmp_path_factory.mktemp("reference"))


@pytest.mark.parametrize("name", PAGES)
def test_a_page_says_what_holds(pages: Mapping[str, str], golden: Golden, name: str) -> None:
    golden.check(PLACE / name, pages[name])


def test_every_page_is_made(pages: Mapping[str, str]) -> None:
    assert sorted(pages) == sorted(path.name for path in PLACE.iterdir()) == sorted(PAGES)


def test_every_key_is_described_and_tried() -> None:
    keys = {path: field for path, field, _ in reference._keys(reference.ClusterSpec, "")}
    assert keys.keys() == reference.OTHER.keys()
    assert [path for path, field in keys.items() if not field.description] == []
