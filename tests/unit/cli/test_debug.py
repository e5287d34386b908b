"""`debug` is warned of by whoever looks, is a mistake once its day has passed, and hinders no comparison."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from generator import clock
from generator.cli.main import run

UNTIL = datetime.now(UTC).date() + timedelta(days=20)
OPEN = f"warning: `debug` is set: until {UNTIL}, who holds `anna` logs in as root on every node, from 28.51.100.7/32"
OVER = f"warning: `debug.until` ({UNTIL}) has passed: sshd has ended on every node, and no launch is possible"
HINT = "  hint: take `debug` away, render and commit, then `gen rollout`"


@pytest.fixture
def rendered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["init", "--api", "28.51.100.7"]) == 0
    with Path("cluster.yaml").open("a") as file:
        file.write(f'debug: {{ssh_keys: [anna], until: "{UNTIL}"}}\n')
    assert run(["render"]) == 0


def set_clock(day: date, monkeypatch: pytest.MonkeyPatch) -> None:
    real, now = clock.Clock, datetime(day.year, day.month, day.day, 23, 59, tzinfo=UTC)
    monkeypatch.setattr(clock, "Clock", lambda: real(now=lambda: now))


@pytest.mark.usefixtures("rendered")
@pytest.mark.parametrize("verb", [["check"], ["render"], ["render", "--check"]], ids=" ".join)
def test_it_is_said_aloud_until_its_last_moment(
    verb: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    set_clock(UNTIL, monkeypatch)
    capsys.readouterr()
    assert run(verb) == 0
    assert f"{OPEN}\n{HINT}\n" in capsys.readouterr().err


@pytest.mark.usefixtures("rendered")
@pytest.mark.parametrize("verb", [["check"], ["render"], ["launch", "--lab"]], ids=" ".join)
@pytest.mark.parametrize(
    ("days", "said"),
    [(1, f"`debug.until` is {UNTIL}, which has passed: today is"), (-31, "more than 30 days ahead")],
)
def test_another_day_is_a_mistake_by_the_clock_of_that_moment(
    verb: list[str], days: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    set_clock(UNTIL + timedelta(days=days), monkeypatch)
    capsys.readouterr()
    assert run(verb) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: cluster.yaml:")
    assert said in error


@pytest.mark.usefixtures("rendered")
def test_what_was_rendered_is_compared_whatever_the_day(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    set_clock(UNTIL + timedelta(days=200), monkeypatch)
    capsys.readouterr()
    assert run(["render", "--check"]) == 0
    said = capsys.readouterr()
    assert f"{OVER}\n{HINT}\n" in said.err
    assert said.out == ""
    assert run(["plan", "--json"]) == 0


@pytest.mark.usefixtures("rendered")
def test_a_script_hears_of_it_as_well(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert run(["check", "--json"]) == 0
    assert f"until {UNTIL} who holds `anna`" in json.loads(capsys.readouterr().out)["notes"][0]
    set_clock(UNTIL + timedelta(days=1), monkeypatch)
    assert run(["check", "--json"]) == 1
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert "has passed" in problem["message"]
