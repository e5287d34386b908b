"""Nothing that could not be asked is taken for done: while no API server answers, no step of a departure is over."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from generator.cluster import departure
from generator.cluster.departure import Departure, Terms
from generator.cluster.kube_api import NotYet
from generator.cluster.observed import DROPLETS, Observed
from generator.plan.decide import Plan
from generator.provider.resources import Droplet
from tests.keyring import NOW, planned

PLAN = planned(control_planes=3, workers=1)
ROWS = ("cordon", "drain", "lead", "retire", "leave", "part")


@dataclass
class Unheard:
    """A site whose API servers are away, though they answered before."""

    plan: Plan = PLAN
    leaving: frozenset[str] = frozenset()
    observed: Observed = field(default_factory=lambda: Observed(NOW, ready=None).having(DROPLETS, droplets()))

    @property
    def server(self) -> Any:
        raise NotYet("no API server answers", where="orderbook")

    @property
    def clock(self) -> Any:
        raise AssertionError("nothing is begun")

    def ask(self, *_: object) -> Any:
        return self.server

    @property
    def case(self) -> Any:
        from generator.cluster.kinds.kind import Case
        from generator.cluster.launchable import Documents

        return Case(self.plan, Documents({}, ""), self.observed)


def droplets() -> tuple[Droplet, ...]:
    return tuple(
        Droplet(node.number, node.name, "active", "fra1", node.size, (PLAN.node_tag(node),), NOW) for node in PLAN.nodes
    )


@pytest.mark.parametrize("node", ["node02", "worker01"])
@pytest.mark.parametrize("name", ROWS)
def test_no_step_is_over_while_nobody_can_be_asked(name: str, node: str) -> None:
    number = PLAN.node(node).number
    rows = {row.name: row for row in Departure(Terms(), {node: number}).rows}
    if node == "worker01" and name in ("lead", "retire", "leave"):
        assert rows[name].awaited(Unheard(), (node,)) == "", "a worker has none of it"  # type: ignore[arg-type]
        return
    with pytest.raises(NotYet):
        rows[name].awaited(Unheard(), (node,))  # type: ignore[arg-type]


def test_the_others_are_not_called_unready_either() -> None:
    with pytest.raises(NotYet):
        list(departure.others_unready(Unheard(), ["node02"]))  # type: ignore[arg-type]
