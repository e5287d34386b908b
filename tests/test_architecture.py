"""The page on the architecture names every room in its own words, in the linter's order, with the imports there are."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "architecture.md").read_text()
PROGRAM = ROOT / "generator"
PACKAGES = sorted(file.parent for file in PROGRAM.rglob("__init__.py") if file.parent != PROGRAM)
ROWS: Mapping[str, str] = dict(re.findall(r"^\| `([a-z/]+)/` \| (.+) \|$", PAGE, re.MULTILINE))


def layers(container: str) -> list[str]:
    """Give the modules of a package in the order of the linter's layers, the highest first."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (found,) = (one["layers"] for one in contracts if one.get("containers") == [container])
    return [name for layer in found for name in re.split(r"\W+", layer)]


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.relative_to(PROGRAM).as_posix())
def test_a_room_is_on_the_page_in_its_own_words(package: Path) -> None:
    sentence = ast.get_docstring(ast.parse((package / "__init__.py").read_text()))
    assert ROWS[package.relative_to(PROGRAM).as_posix()] == sentence


def test_the_page_names_no_other_room() -> None:
    assert set(ROWS) == {package.relative_to(PROGRAM).as_posix() for package in PACKAGES}


@pytest.mark.parametrize(("container", "prefix"), [("generator", ""), ("generator.lab", "lab/")])
def test_rooms_stand_in_the_linters_order(container: str, prefix: str) -> None:
    ours = [name.removeprefix(prefix) for name in ROWS if name.startswith(prefix) and "/" not in name[len(prefix) :]]
    rooms = [name for name in layers(container) if (PROGRAM / prefix / name).is_dir()]
    assert ours == rooms


def test_the_ground_floor_is_named() -> None:
    rooms = [name for name in layers("generator") if (PROGRAM / f"{name}.py").exists() and name != "__main__"]
    (sentence,) = re.findall(r"Below them is the ground floor.*?\n\n", PAGE, re.DOTALL)
    assert set(re.findall(r"`([a-z_]+)`", sentence)) == set(rooms)


def test_the_picture_shows_the_imports_there_are() -> None:
    (picture,) = re.findall(r"```mermaid\n(.*?)```", PAGE, re.DOTALL)
    assert set(re.findall(r"(\w+) --> (\w+)", picture)) == _reduced(_imports())


def _imports() -> set[tuple[str, str]]:
    graph = grimp.build_graph("generator", cache_dir=None)
    found = set()
    for module in graph.modules:
        for imported in graph.find_modules_directly_imported_by(module):
            found.add((_room(module), _room(imported)))
    return {(one, other) for one, other in found if one and other and one != other}


def _room(module: str) -> str:
    name = f"{module}.".split(".")[1]
    return "ground" if name != "__main__" and (PROGRAM / f"{name}.py").exists() else name.replace("__main__", "")


def _reduced(edges: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """Leave out each edge that follows from others."""
    edges = set(edges)

    def reach(one: str) -> set[str]:
        nexts = {other for first, other in edges if first == one}
        return nexts | {far for near in nexts for far in reach(near)}

    return {
        (one, other)
        for one, other in edges
        if not any(other in reach(between) for first, between in edges if first == one and between != other)
    }
