"""The agent's archive: every file below `userdata/agent/` is in it or refused, and none is left out silently."""

from __future__ import annotations

import io
import os
import socket
import tarfile
from pathlib import Path

import pytest

from generator.documents import agent
from generator.errors import Problems
from generator.files import resource

LIBRARY = "usr/local/lib/hardway"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A `userdata` with an agent of one module."""
    put(tmp_path / "userdata", f"{LIBRARY}/here.py", b"x = 1\n")
    return tmp_path / "userdata"


def put(root: Path, path: str, content: bytes) -> Path:
    file = root / "agent" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


def refused(root: Path) -> list[str]:
    """Give the problems, each with its place below the agent's directory."""
    with pytest.raises(Problems) as caught:
        agent.files(root=root)
    start = f"{root / 'agent'}/"
    return [f"{problem.where}: {problem.message}".removeprefix(start) for problem in caught.value.problems]


def test_every_text_is_packed_whatever_its_name(root: Path) -> None:
    texts = {
        f"{LIBRARY}/here.py": b"x = 1\n",
        f"{LIBRARY}/table.json": b"{}\n",
        f"{LIBRARY}-notes/read.me": b"x\n",
        "etc/hardway/more.txt": b"x\n",
        "etc/.hidden": b"x\n",
        "etc/no-suffix": b"x\n",
    }
    for path, content in texts.items():
        put(root, path, content)
    found = agent.files(root=root)
    assert found == texts
    assert list(found) == sorted(found)
    with tarfile.open(fileobj=io.BytesIO(agent.archive(found))) as archive:
        assert archive.getnames() == sorted(texts)
        assert {member.mode for member in archive} == {0o644}


def test_only_what_python_and_git_leave_is_passed_over(root: Path) -> None:
    put(root, f"{LIBRARY}/__pycache__/here.cpython-313.pyc", b"\0")
    put(root, "etc/.gitkeep", b"")
    assert list(agent.files(root=root)) == [f"{LIBRARY}/here.py"]
    put(root, f"{LIBRARY}/here.pyc", b"\0\n")
    assert refused(root) == [f"{LIBRARY}/here.pyc:1: not plain ASCII, or a tab"]


def test_what_is_no_regular_file_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(root, "etc/text", b"x\n")
    directory = root / "agent/etc"
    (directory / "a-link").symlink_to("text")
    (directory / "b-directory").symlink_to("../usr", target_is_directory=True)
    (directory / "c-dangling").symlink_to("nowhere")
    os.mkfifo(directory / "d-fifo")
    monkeypatch.chdir(directory)  # a socket's path has to be short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("e-socket")
        names = ("a-link", "b-directory", "c-dangling", "d-fifo", "e-socket")
        assert refused(root) == [f"etc/{name}: is no regular file" for name in names]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfe\n", ":1: not plain ASCII, or a tab"),
        ("x\na\u202e\n".encode(), ":2: not plain ASCII, or a tab"),
        (b"a\0b\n", ":1: not plain ASCII, or a tab"),
        (b"x", ": the last line has no newline"),
        (b"", ": the last line has no newline"),
    ],
)
def test_what_a_reviewer_would_not_see_is_refused(root: Path, content: bytes, message: str) -> None:
    put(root, "etc/x", content)
    assert refused(root) == [f"etc/x{message}"]


def test_the_agent_as_it_is_holds_all_of_its_files() -> None:
    base = resource("userdata") / "agent"
    there = {path.relative_to(base) for path in base.rglob("*") if path.is_file()}
    assert {str(path) for path in there if "__pycache__" not in path.parts} == agent.files().keys()


def test_a_directory_that_is_not_there_is_no_empty_agent(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        agent.files(root=tmp_path)
