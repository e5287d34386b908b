"""A worker that is not trusted any more gets new keys, and nobody else does."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from generator.cli.main import run
from generator.documents import committed, render
from generator.plan.project import Project
from tests.described import TUTORIAL

POOL = re.search(r"- \{name: node.*\}\n", TUTORIAL)
assert POOL is not None
MIXED = TUTORIAL.replace(POOL[0], f"{POOL[0]}- {{name: work, role: worker, count: 2, size: s-2vcpu-4gb}}\n")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cluster.yaml").write_text(MIXED)
    made = render.refresh(Project.load(tmp_path / "cluster.yaml"), now=datetime.now(UTC))
    committed.write(made, render.documents(made))
    return Project.load(tmp_path / "cluster.yaml")


def contents(directory: Path) -> Mapping[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }


def changed(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> set[str]:
    return {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}


def test_all_keys_of_the_node_and_no_others_are_new(project: Project) -> None:
    keys, rendered = contents(project.keys_path), contents(project.rendered_path)
    assert run(["evict", "work01", "--yes"]) == 0
    after = contents(project.keys_path)
    assert changed(keys, after) == {path for path in keys if path.startswith("nodes/work01/")}
    assert keys.keys() == after.keys()
    assert changed(rendered, contents(project.rendered_path)) == {
        "inventory.yaml",
        "nodes/work01/user-data",
        "roster.json",
        "summary.md",
    }
    assert run(["render", "--check"]) == 0
    assert run(["render"]) == 0


def test_a_run_that_was_killed_is_run_again(project: Project) -> None:
    before = contents(project.keys_path)
    for path in (project.keys_path / "nodes" / "work01").iterdir():
        path.unlink()
    assert run(["render"]) == 1, "a row without its key is an error, never a reason to make a new one"
    assert run(["evict", "work01", "--yes"]) == 0
    assert changed(before, contents(project.keys_path)) == {path for path in before if path.startswith("nodes/work01/")}
    assert run(["render", "--check"]) == 0


@pytest.mark.parametrize(
    ("node", "said"),
    [("node01", "is a control-plane node: it holds keys that all of them share"), ("work09", "no such node")],
)
def test_whose_keys_stay(project: Project, capsys: pytest.CaptureFixture[str], node: str, said: str) -> None:
    before = contents(project.directory)
    assert run(["evict", node, "--yes"]) == 1
    assert f"error: {node}: {said}" in capsys.readouterr().err
    assert contents(project.directory) == before


def test_nobody_is_asked_without_a_terminal(project: Project) -> None:
    before = contents(project.directory)
    assert run(["evict", "work01"]) == 1
    assert contents(project.directory) == before
