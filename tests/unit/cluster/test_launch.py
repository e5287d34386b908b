"""A launch goes on until all is done, but not for ever."""

from __future__ import annotations

import pytest

from generator.cluster.assembly import MOST_TRIES, Tries
from generator.cluster.kinds.bundle import BUNDLE
from generator.cluster.kinds.kind import Action
from generator.errors import Problem


def test_what_never_takes_effect_is_given_up_by_name() -> None:
    tries = Tries()
    stuck = Action("delete", BUNDLE, "orderbook/bundles/node01-0.bundle", "its node has it")
    for _ in range(MOST_TRIES):
        tries.count(stuck)
        tries.count(Action("publish", BUNDLE, "x", f"for reason {len(tries.counts)} of {sum(tries.counts.values())}"))
    with pytest.raises(Problem, match="delete was tried 10 times, and is to be done still") as caught:
        tries.count(stuck)
    assert caught.value.where == "bundle orderbook/bundles/node01-0.bundle"
