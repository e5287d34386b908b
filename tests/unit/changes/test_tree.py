"""A state is read from git without being checked out; what could lead elsewhere is refused."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from generator.changes import tree
from generator.changes.compare import compare
from generator.documents import committed, render
from generator.errors import Problem
from generator.plan.project import Project
from tests.described import TUTORIAL


def git(directory: Path, *words: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@localhost", "-c", "init.defaultBranch=main")
    return subprocess.run(["git", *identity, *words], cwd=directory, check=True, capture_output=True, text=True).stdout


def commit(directory: Path) -> str:
    git(directory, "add", "-A", ".")
    git(directory, "commit", "-q", "-m", "x")
    return git(directory, "rev-parse", "HEAD").strip()


def rendered(directory: Path) -> Project:
    project = render.refresh(Project.load(directory / "cluster.yaml"), now=datetime.now(UTC))
    committed.write(project, render.documents(project))
    return Project.load(directory / "cluster.yaml")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """One that is committed on `main`, and changed on a branch."""
    (tmp_path / "cluster.yaml").write_text(TUTORIAL)
    (tmp_path / ".gitignore").write_text("keys/\n")
    git(tmp_path, "init", "-q")
    rendered(tmp_path)
    commit(tmp_path)
    git(tmp_path, "checkout", "-q", "-b", "change")
    (tmp_path / "cluster.yaml").write_text(TUTORIAL.replace("s-2vcpu-4gb", "s-4vcpu-8gb"))
    found = rendered(tmp_path)
    commit(tmp_path)
    return found


def test_a_branch_is_compared_with_where_it_left_the_default_one(project: Project) -> None:
    main = git(project.directory, "rev-parse", "main").strip()
    assert tree.base(project.directory) == main
    after = tree.now(project, render.documents(project))
    with tree.at(project, main) as before:
        assert before is not None
        assert {one.fate for one in compare(before, after).nodes} == {"recreated"}
        assert set(before.files) == set(after.files)
    assert git(project.directory, "status", "--porcelain") == ""


def test_where_there_was_no_cluster_nothing_is_compared(project: Project) -> None:
    git(project.directory, "checkout", "-q", "--orphan", "empty")
    git(project.directory, "rm", "-rq", "--cached", ".")
    (project.directory / "other").write_text("x")
    git(project.directory, "add", "other")
    git(project.directory, "commit", "-q", "-m", "other")
    with tree.at(project, "empty") as before:
        assert before is None


@pytest.mark.parametrize("revision", ["nowhere", "--output=x", "", "HEAD:cluster.yaml"])
def test_what_is_no_commit(project: Project, revision: str) -> None:
    with pytest.raises(Problem, match="is no commit here"), tree.at(project, revision):
        pass


def test_a_link_in_a_commit_is_not_followed(project: Project) -> None:
    (project.rendered_path / "summary.md").unlink()
    (project.rendered_path / "summary.md").symlink_to("/etc/passwd")
    revision = commit(project.directory)
    with pytest.raises(Problem, match="symbolic link"), tree.at(project, revision):
        pass


def test_a_file_that_is_far_too_long_is_not_read(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "LIMIT_BYTES", 1000)
    with pytest.raises(Problem, match="at most 1,000 are read"), tree.at(project, "HEAD"):
        pass


def test_some_files_of_a_commit(project: Project) -> None:
    found = tree.files_at(project, "main", "nodes/node01/user-data", "agent")
    assert found["nodes/node01/user-data"].startswith(b"#cloud-config")
    assert len(found) > 10
    assert all(path.startswith(("agent/", "nodes/")) for path in found)
    assert tree.files_at(project, "main", "nodes/node09/user-data") == {}
    assert tree.files_at(project, "0" * 12, "nodes/node01/user-data") == {}


def test_every_byte_is_read_as_it_was_committed(project: Project) -> None:
    content = b"one\r\ntwo\rthree\xff\n"
    (project.rendered_path / "summary.md").write_bytes(content)
    revision = commit(project.directory)
    with tree.at(project, revision) as before:
        assert before is not None
        assert before.files["summary.md"] == content
