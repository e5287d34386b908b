"""Files are written whole, with their mode; commands fail with their own words."""

from __future__ import annotations

from pathlib import Path

import pytest
from hardway import here
from hardway.here import Failure


def test_a_file_is_private_unless_said_otherwise(root: Path) -> None:
    here.write("/etc/a", "x")
    here.write("/etc/b", b"y", 0o644)
    assert [(path.name, path.stat().st_mode & 0o777) for path in sorted((root / "etc").iterdir())] == [
        ("a", 0o600),
        ("b", 0o644),
    ]


def test_a_failed_write_leaves_the_old_file(root: Path) -> None:
    here.write("/etc/a", "old")
    with pytest.raises(TypeError):
        here.write("/etc/a", 5)  # type: ignore[arg-type]
    assert [path.read_text() for path in (root / "etc").iterdir()] == ["old"]


def test_reading_what_is_not_there() -> None:
    assert here.read("/etc/none.json") is None
    with pytest.raises(Failure, match="launch part"):
        here.launch()


def test_the_fresh_launch_part_counts() -> None:
    here.write(here.KEPT, '{"generation": 1}')
    assert here.launch() == {"generation": 1}
    here.write(here.LAUNCH, '{"generation": 2}')
    assert here.launch() == {"generation": 2}


def test_a_command_says_why_it_failed() -> None:
    assert here.run("cat", stdin="in") == "in"
    with pytest.raises(Failure, match=r"`cat /nowhere`: .*No such file"):
        here.run("cat", "/nowhere")
    with pytest.raises(Failure, match="`no-such-command`: FileNotFoundError"):
        here.run("no-such-command")
    with pytest.raises(Failure, match="TimeoutExpired"):
        here.run("sleep", "5", timeout=0.05)
