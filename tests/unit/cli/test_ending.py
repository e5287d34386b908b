"""`check` says what ends soon, and fails for it where `--min-days` asks for more."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from generator import clock
from generator.cli.main import run


@pytest.fixture
def rendered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["init", "--api", "8.8.8.8"]) == 0
    assert run(["render"]) == 0


@pytest.mark.usefixtures("rendered")
@pytest.mark.parametrize(
    ("days", "options", "code", "said"),
    [
        (0, (), 0, ""),
        (334, (), 0, ""),
        (336, (), 0, "ends in 28 days"),
        (364, (), 0, "ends in 0 days"),
        (366, (), 0, "ended 1 days ago"),
        (300, ("--min-days", "60"), 0, ""),
        (310, ("--min-days", "60"), 1, "ends in 54 days"),
        (310, ("--min-days", "60", "--json"), 1, "ends in 54 days"),
    ],
)
def test_the_year_passes(
    days: int,
    options: tuple[str, ...],
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    real = clock.Clock
    now = datetime.now(UTC) + timedelta(days=days)
    monkeypatch.setattr(clock, "Clock", lambda: real(now=lambda: now))
    capsys.readouterr()
    assert run(["check", *options]) == code
    seen = capsys.readouterr()
    assert ("warning: the certificate" in seen.err) == bool(said)
    assert said in seen.err
    if "--json" in options:
        assert said in json.loads(seen.out)["problems"][0]["message"]
