"""What `gen launch` takes, and how it asks."""

from __future__ import annotations

import io
from datetime import timedelta

import pytest
from click.testing import CliRunner

from generator.cli.launch import launch
from generator.cli.options import Duration
from generator.cli.session import LONGEST_URL, SHORTEST_URL, ask
from generator.errors import Problem


@pytest.mark.parametrize("value", ["4m", "121m", "3h", "0", "2", "2 h", "-1h", "1d", "10s", "٣h"])
def test_a_lifetime_out_of_bounds_is_wrong_usage(value: str) -> None:
    result = CliRunner().invoke(launch, ["--url-lifetime", value])
    assert result.exit_code == 2
    assert "between 5m and 2h" in result.output or "no duration" in result.output


def test_a_lifetime_is_read() -> None:
    bounds = Duration(SHORTEST_URL, LONGEST_URL)
    assert bounds.convert("90m", None, None) == timedelta(minutes=90)
    assert bounds.convert("2h", None, None) == LONGEST_URL


@pytest.mark.parametrize("answer", ["n\n", "\n"])
def test_no_is_an_answer(answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal(answer))
    with pytest.raises(Problem, match="nothing was made"):
        ask(yes=False, question="Launch?", undone="not launched; nothing was made")
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    ask(yes=False, question="Launch?", undone="")
