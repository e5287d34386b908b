"""Every wrong description in `mistakes/` is refused with exactly the message beside it."""

from __future__ import annotations

import time
from datetime import date
from pathlib import Path

import pytest

from generator.cli.main import run
from generator.errors import Problem, Problems
from generator.plan.project import Project

from .conftest import TESTS, Golden

TODAY = date(2026, 11, 22)
MISTAKES = sorted((TESTS / "mistakes").glob("*.yaml"))


@pytest.mark.parametrize("description", MISTAKES, ids=lambda path: path.stem)
def test_message(description: Path, golden: Golden, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(description.parent)
    started = time.monotonic()
    with pytest.raises((Problem, Problems)) as caught:
        Project.load(Path(description.name), today=TODAY)
    assert time.monotonic() - started < 5
    golden.check(description.with_suffix(".txt"), f"{caught.value}\n")


def test_every_message_belongs_to_a_mistake() -> None:
    assert {path.stem for path in (TESTS / "mistakes").glob("*.txt")} == {path.stem for path in MISTAKES}
    assert len(MISTAKES) >= 40


def test_no_message_shows_a_credential() -> None:
    for name in ("token-in-the-file", "spaces-key-as-bucket", "private-key-in-the-file"):
        text = (TESTS / "mistakes" / f"{name}.txt").read_text()
        assert "not shown" in text
        assert not any(secret in text for secret in ("dop_v1_", "DO00", "BEGIN"))


def test_command_line_exits_1_and_prints_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "-f", str(TESTS / "mistakes" / "unknown-key.yaml")]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "`regoin` is not a known key" in err
