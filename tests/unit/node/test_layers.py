"""The modules of a node import downwards only; each has its place here."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

import pytest

from generator.files import resource

LIBRARY = resource("userdata") / "agent/usr/local/lib/hardway"
LAYERS = (
    {"bootstrap", "node", "status", "update"},
    {"etcd", "mesh"},
    {"binaries", "roster", "secrets"},
    {"fetch", "masking", "waiting"},
    {"here"},
)


def imported(source: str) -> set[str]:
    """Name the modules of the agent that a module imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module == "hardway":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("hardway."):
            found.add(str(node.module).split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("hardway.")}
    return found


def upward(sources: Mapping[str, str]) -> Iterator[str]:
    """Find imports that do not lead to a lower layer, and modules without a place."""
    floor = {name: number for number, layer in enumerate(LAYERS) for name in layer}
    yield from (f"{name} has no place" for name in sources.keys() ^ floor.keys())
    for name, source in sources.items():
        yield from (f"{name} -> {other}" for other in imported(source) if floor.get(other, -1) <= floor.get(name, 99))


SOURCES = {path.stem: path.read_text() for path in LIBRARY.glob("*.py")}


def test_modules_import_downwards_only() -> None:
    assert list(upward(SOURCES)) == []


@pytest.mark.parametrize(
    "line",
    [
        "from hardway import mesh",
        "from hardway.mesh import follow",
        "import hardway.mesh",
        "def f(): import hardway.mesh",
    ],
)
def test_an_import_the_other_way_is_found(line: str) -> None:
    assert list(upward(SOURCES | {"roster": f"{SOURCES['roster']}\n{line}\n"})) == ["roster -> mesh"]


def test_a_module_without_a_place_is_found() -> None:
    assert list(upward(SOURCES | {"new": ""})) == ["new has no place"]
