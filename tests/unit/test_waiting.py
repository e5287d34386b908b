"""Waits take the pauses they are given, and end."""

from __future__ import annotations

import pytest

from generator import waiting


class Passing(Exception):  # noqa: N818 - it is to pass
    pass


@pytest.mark.parametrize(("answers", "found", "slept"), [
    (["here"], "here", []),
    ([None, "here"], "here", [1]),
    ([None, None, None], None, [1, 2]),
])  # fmt: skip
def test_something_is_looked_for_once_more_than_there_are_pauses(
    answers: list[str | None], found: str | None, slept: list[float]
) -> None:
    pauses: list[float] = []
    assert waiting.until(iter(answers).__next__, (1, 2), pauses.append) == found
    assert pauses == slept


def test_what_passes_is_tried_again_and_the_last_failure_raised() -> None:
    pauses: list[float] = []

    def fail() -> None:
        raise Passing(str(len(pauses)))

    with pytest.raises(Passing, match="2"):
        waiting.repeat(fail, (1, 2), pauses.append, while_=lambda error: isinstance(error, Passing))
    assert pauses == [1, 2]


def test_what_does_not_pass_is_raised_at_once() -> None:
    pauses: list[float] = []

    def fail() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        waiting.repeat(fail, (1, 2), pauses.append, while_=lambda error: isinstance(error, Passing))
    assert pauses == []
