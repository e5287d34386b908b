"""What the benchmark says of a figure: worse only beyond the noise that was seen."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench import yardstick
from tests.bench.figures import LEAST_NOISE, Figure, compare, keep, read


def figure(*seconds: float, stick: float = 2.0) -> Figure:
    return Figure("boot", seconds, (stick,) * len(seconds))


@pytest.mark.parametrize(
    ("now", "kept", "word"),
    [
        (figure(10), figure(10), "same"),
        (figure(10 * (1 + 2 * LEAST_NOISE)), figure(10), "worse"),
        (figure(10), figure(10 * (1 + 2 * LEAST_NOISE)), "better"),
        # as much longer as before, but its own runs are as far apart, or those that were kept
        (figure(9, 11, 13), figure(10), "same"),
        (figure(11), figure(9, 10, 11.5), "same"),
        (figure(11, 11, 11), figure(10, 10, 10), "worse"),
        # a machine that is half as quick takes twice as long, also for the yardstick
        (figure(20, stick=4.0), figure(10), "same"),
    ],
)
def test_worse_is_what_the_noise_does_not_explain(now: Figure, kept: Figure, word: str) -> None:
    assert [one.word for one in compare([now], {"boot": kept})] == [word]


def test_what_was_not_timed_before_is_new() -> None:
    assert [one.word for one in compare([figure(1)], {})] == ["new"]


def test_figures_are_kept_beside_those_of_other_names(tmp_path: Path) -> None:
    file = tmp_path / "measured.json"
    keep([figure(1), Figure("other", (3.0,), (1.0,))], file)
    keep([figure(2, 4)], file)
    assert read(file) == {"boot": figure(2, 4), "other": Figure("other", (3.0,), (1.0,))}


def test_the_yardstick_is_the_same_work_for_every_processor_and_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yardstick, "ROUNDS", 1)
    assert yardstick._work(0) == yardstick._work(0) == yardstick._work(1)
    assert yardstick.seconds() > 0
