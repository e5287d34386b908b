"""A thief reaches what the committed table says, and not one thing more."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.attack import stage
from tests.attack.expected import differences, read
from tests.attack.stage import Stage
from tests.attack.thefts import THEFTS, Theft


@pytest.fixture(scope="module")
def robbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Launch a control plane and a worker in a lab of their own."""
    with stage.launched(tmp_path_factory.mktemp("robbed")) as on:
        yield on


@pytest.mark.parametrize("theft", THEFTS, ids=[theft.what.replace(" ", "-") for theft in THEFTS])
def test_a_thief_reaches_no_more_than_is_known(robbed: Stage, theft: Theft) -> None:
    assert differences({theft.what: read()[theft.what]}, {theft.what: theft.play(robbed)}) == []
