"""Every file below `userdata/agent` reaches the nodes, or is refused by name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from generator.documents import agent
from generator.errors import Problems
from generator.files import resource


def test_what_is_there_is_packed_whatever_its_name(tmp_path: Path) -> None:
    for name in ("usr/a.py", "usr/b.json", "usr/c", "etc/.hidden"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "usr/__pycache__").mkdir()
    (tmp_path / "usr/__pycache__/a.cpython-311.pyc").write_bytes(b"\xff")
    found = agent.files(root=tmp_path)
    assert found == {name: name.encode() for name in ("etc/.hidden", "usr/a.py", "usr/b.json", "usr/c")}
    assert list(found) == sorted(found)


def test_what_can_not_be_packed_or_reviewed_is_named(tmp_path: Path) -> None:
    (tmp_path / "real.py").write_text("")
    (tmp_path / "link.py").symlink_to("real.py")
    (tmp_path / "dead.py").symlink_to("nowhere")
    (tmp_path / "directory").mkdir()
    (tmp_path / "linked").symlink_to("directory", target_is_directory=True)
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "binary.so").write_bytes(b"\x7fELF\x00")
    (tmp_path / "umlaut.py").write_text("# ü\n")
    with pytest.raises(Problems) as caught:
        agent.files(root=tmp_path)
    named = {Path(problem.where or "").name for problem in caught.value.problems}
    assert named == {"link.py", "dead.py", "linked", "pipe.py", "binary.so", "umlaut.py"}


def test_the_agent_is_all_that_lies_in_its_place() -> None:
    root = resource("userdata") / "agent"
    there = {path for path in root.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert {root / name for name in agent.files()} == there
