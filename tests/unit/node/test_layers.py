"""The agent's modules import downwards only; this is where their order is written down."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

from generator.files import resource

PACKAGE = resource("userdata") / "agent/usr/local/lib/hardway"
# From the top; modules of one layer know nothing of each other.
LAYERS = (
    ("steps",),
    (
        "binaries",
        "bootstrap",
        "channel",
        "etcd",
        "follow",
        "node",
        "secrets",
        "status",
        "turn",
        "upkeep",
        "volumes",
    ),  # what the loader runs
    ("duties", "images", "restoring"),
    ("addons", "survey"),
    ("datapath", "paths", "services"),
    ("belongings",),
    ("dump", "snapshot"),
    ("keeping",),
    ("readiness",),
    (
        "addon_secrets",
        "balancer",
        "bucket",
        "etcdctl",
        "filesystem",
        "installed",
        "kubectl",
        "mesh",
        "mounted",
        "reach",
        "roster",
        "vpc",
    ),  # what several steps share
    ("peers",),
    ("kube", "sealed"),
    ("fetch", "signed", "vouch", "waiting"),
    ("timeline",),
    ("here",),
)


def imported(source: str) -> Iterator[str]:
    """Name the modules of the package that a module imports, wherever in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from alias.name.split(".")[1:2] if alias.name.startswith("hardway.") else ()
                assert alias.name != "hardway", "`import hardway` hides what is meant"
        if isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            path = (node.module or "").split(".")
            if path[0] == "hardway":
                yield from path[1:2] or [alias.name for alias in node.names]


def faults(sources: dict[str, str], layers: Iterable[Iterable[str]] = LAYERS) -> list[str]:
    """List the modules without a place, the places without a module, and the imports that do not lead downwards."""
    places = {module: depth for depth, layer in enumerate(layers) for module in layer}
    found = [f"{module} has no place" for module in sorted(sources.keys() - places.keys())]
    found += [f"{module} is gone" for module in sorted(places.keys() - sources.keys())]
    for module, source in sorted(sources.items()):
        for target in imported(source):
            if places.get(target, -1) <= places.get(module, -1):
                found.append(f"{module} imports {target}")
    return found


def modules(directory: Path) -> dict[str, str]:
    paths = {path.relative_to(directory).with_suffix("").as_posix(): path for path in directory.rglob("*.py")}
    return {name: path.read_text() for name, path in paths.items()}


def test_modules_import_downwards_only() -> None:
    assert faults(modules(PACKAGE)) == []


def test_the_check_itself_finds_what_it_is_for() -> None:
    layers = (("steps", "other"), ("tools",))
    good = {"steps": "from hardway import tools\nimport json", "other": "from hardway.tools import a", "tools": ""}
    assert faults(good, layers) == []
    for wrong in (
        "from hardway import steps",
        "import hardway.steps",
        "import json, hardway.steps as s",
        "from hardway.steps import run",
        "def late():\n    from hardway.steps import run",
    ):
        assert faults(good | {"tools": wrong}, layers) == ["tools imports steps"]
    assert faults(good | {"other": "from hardway import steps, tools"}, layers) == ["other imports steps"]
    assert faults(good | {"tools": "from hardway import tools"}, layers) == ["tools imports tools"]
    assert faults(good | {"more": ""}, layers) == ["more has no place"]
    assert faults({"steps": "", "tools": ""}, layers) == ["other is gone"]
