"""The rules of the house, as far as a program can read them."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import jinja2
import jinja2.meta
import pytest

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
MODULES = sorted((ROOT / "generator").rglob("*.py"))
TEMPLATES = sorted(path for name in ("userdata", "addons") for path in (ROOT / name).rglob("*.j2"))
LONGEST = 350


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "generator", "tests", "userdata"],
        ["ruff", "format", "--check", "generator", "tests", "userdata"],
        ["mypy"],
        ["lint-imports"],
    ],
    ids=" ".join,
)
def test_linter(command: list[str]) -> None:
    done = subprocess.run([BIN / command[0], *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_module(module: Path) -> None:
    text = module.read_text()
    tree = ast.parse(text)
    docstring = ast.get_docstring(tree)
    assert docstring, "a module says in its first line what it does"
    assert re.search(r"[.:;]$", docstring.split("\n")[0]), "the first line is a sentence"
    assert text.count("\n") <= LONGEST
    assert list(_too_wide(tree)) == []
    assert not re.search(r"\b(TODO|FIXME|XXX)\b", text)


def _too_wide(tree: ast.AST) -> Iterator[int]:
    """Find handlers that catch everything and do not raise it again."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.ExceptHandler):
            continue
        names = {name.id for name in ast.walk(node.type) if isinstance(name, ast.Name)} if node.type else {"Exception"}
        again = any(isinstance(child, ast.Raise) and child.exc is None for child in ast.walk(node))
        if names & {"Exception", "BaseException"} and not again:
            yield node.lineno


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT)))
def test_templates_see_the_plan_alone(template: Path) -> None:
    asked = jinja2.meta.find_undeclared_variables(jinja2.Environment().parse(template.read_text()))
    assert asked <= ({"plan", "node"} if "userdata" in template.parts else {"plan", "digest", "listed"})


def test_only_the_command_line_prints_and_exits() -> None:
    mute = [module for module in MODULES if module.relative_to(ROOT).parts[1] not in ("cli", "lab")]
    assert len(mute) > 40
    for module in mute:
        for node in ast.walk(ast.parse(module.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in ("print", "exit", "quit"), f"{module}:{node.lineno}"
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                assert (node.value.id, node.attr) != ("sys", "exit"), f"{module}:{node.lineno}"


def test_a_wheel_brings_every_data_directory() -> None:
    """What `files.resource` looks for is what the build puts there."""
    built = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    asked = {
        name
        for module in (ROOT / "generator").rglob("*.py")
        for name in re.findall(r"resource\(\"([a-z-]+)\"\)", module.read_text())
    }
    assert asked
    assert asked <= {target.split("/")[2] for target in built["force-include"].values()}
