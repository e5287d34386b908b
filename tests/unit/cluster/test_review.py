"""A launch knows the commit that holds what boots, or says that none does."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from generator.cli.main import run
from generator.cluster import review
from generator.errors import Problems
from generator.plan.project import Project
from generator.release import lock_file


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("review") / "project"
    assert run(["init", "--api", "28.51.100.7", "--directory", str(directory), "--release", "mine"]) == 0
    (directory / "releases").mkdir()
    text = (lock_file.BUILT_IN / "k8s-1.36.yaml").read_text().replace("name: k8s-1.36\n", "name: mine\n", 1)
    (directory / "releases/mine.yaml").write_text(text)
    assert run(["render", "-f", str(directory / "cluster.yaml")]) == 0
    return directory


@pytest.fixture
def project(rendered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    shutil.copytree(rendered, tmp_path / "repository" / "clusters")
    return tmp_path / "repository" / "clusters"


def git(directory: Path, *arguments: str) -> str:
    who = ("-c", "user.name=t", "-c", "user.email=t@localhost")
    command = ["git", "-C", str(directory), *who, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def committed(project: Path) -> str:
    git(project.parent, "init", "-q")
    git(project.parent, "add", "-A")
    git(project.parent, "commit", "-q", "-m", "three nodes in fra1")
    return git(project.parent, "rev-parse", "HEAD")


def found(project: Path, *, uncommitted: bool = False) -> review.Review:
    return review.of(Project.load(project / "cluster.yaml"), uncommitted=uncommitted)


def test_what_is_committed_is_known_by_its_commit(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = committed(project)
    assert found(project) == review.Review(commit, "three nodes in fra1")
    (project.parent / "other.txt").write_text("of no account\n")
    (project / "notes.md").write_text("neither\n")
    assert found(project).commit == commit
    monkeypatch.chdir(project)
    assert review.of(Project.load(), uncommitted=False).commit == commit
    monkeypatch.setenv("GIT_DIR", "/nonexistent")  # as in a hook
    assert found(project).commit == commit


def test_without_a_repository_nothing_vouches(project: Path) -> None:
    assert found(project) == review.Review()


@pytest.mark.parametrize("staged", [False, True])
@pytest.mark.parametrize(
    "path",
    [
        *("cluster.yaml", "releases/mine.yaml", "rendered/orderbook/nodes/node02/user-data"),
        *("rendered/orderbook/inventory.yaml", "rendered/orderbook/addons/index.json"),
    ],
)
def test_what_differs_from_its_commit_is_refused(project: Path, path: str, staged: bool) -> None:
    committed(project)
    with (project / path).open("a") as file:
        file.write("\n")
    if staged:
        git(project, "add", "-A")
    with pytest.raises(Problems, match="is not committed"):
        found(project)
    assert found(project, uncommitted=True) == review.Review()


def test_what_was_never_committed_is_refused(project: Path) -> None:
    git(project.parent, "init", "-q")
    with pytest.raises(Problems, match=r"and \d+ more is not committed"):
        found(project)


@pytest.mark.parametrize("path", ["rendered", "rendered/orderbook/nodes/node01", "releases", "cluster.yaml"])
def test_what_is_ignored_is_in_no_commit(project: Path, path: str) -> None:
    (project.parent / ".gitignore").write_text(f"/clusters/{path}\n")
    committed(project)
    with pytest.raises(Problems, match="is not committed"):
        found(project)


def test_what_was_removed_from_its_place_is_refused(project: Path) -> None:
    committed(project)
    (project / "rendered/orderbook/summary.md").unlink()
    with pytest.raises(Problems, match=r"summary\.md"):
        found(project)
