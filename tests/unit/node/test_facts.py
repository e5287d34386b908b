"""node.json holds the facts that the agent reads: none that nobody asks for, and none is missing."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from generator.documents import agent, user_data
from tests.described import TUTORIAL

from ... import facts
from .conftest import FACTS

SOURCES = [content.decode() for path, content in agent.files().items() if path.endswith(".py")]


def read(source: str) -> Iterator[str]:
    """Name the facts that a module reads: it says `facts["name"]` or `here.facts()["name"]`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Subscript) and ast.unparse(node.value) in ("facts", "here.facts()"):
            assert isinstance(node.slice, ast.Constant), ast.unparse(node)
            yield node.slice.value


@pytest.fixture
def rendered(tmp_path: Path) -> dict[str, Any]:
    """The facts of the tutorial's first node."""
    file = tmp_path / "cluster.yaml"
    file.write_text(TUTORIAL)
    plan = facts.load(file).plan
    contents = {str(file.path): file.content for file in user_data.files(plan, plan.nodes[0])}
    return dict(json.loads(contents["/etc/hardway/node.json"]))


def test_every_fact_is_read_and_every_one_read_is_there(rendered: dict[str, Any]) -> None:
    assert {name for source in SOURCES for name in read(source)} == rendered.keys()


def test_these_tests_have_the_facts_of_the_document(rendered: dict[str, Any]) -> None:
    assert FACTS.keys() == rendered.keys()


def test_the_check_itself_sees_each_way_to_read() -> None:
    assert list(read("facts['a'], here.facts()['b'], roster['c'], f\"{facts['d']}\"")) == ["a", "b", "d"]
