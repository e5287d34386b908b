"""A thief reaches what the committed table says, and not one thing more."""

from __future__ import annotations

import pytest

from tests.attack import stage
from tests.attack.expected import differences, read
from tests.attack.thefts import THEFTS, Reached, play_all


@pytest.fixture(scope="module")
def reached(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Reached]:
    """Play every theft against a control plane and a worker in a lab of their own."""
    with stage.launched(tmp_path_factory.mktemp("robbed")) as on:
        return play_all(on, print)


@pytest.mark.parametrize("what", [theft.what for theft in THEFTS])
def test_a_thief_reaches_no_more_than_is_known(reached: dict[str, Reached], what: str) -> None:
    assert differences({what: read()[what]}, {what: reached[what]}) == []
