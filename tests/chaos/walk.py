"""The walk: rows of what may come next, chosen by a seed; the database's own node is never lost."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.chaos import befalls, steps
from tests.chaos.steps import ALL
from tests.e2e.harness import Cluster


@dataclass(frozen=True)
class Fault:
    """One kind of step; `loses` tells whether a node's own disk goes, `often` how likely it is beside the others."""

    name: str
    do: Callable[[Cluster, str, random.Random], None]
    loses: bool = False
    often: int = 3


FAULTS = (
    Fault("power cut", befalls.power_cut),
    Fault("machine lost", befalls.lost, loses=True),
    Fault("process killed", befalls.killed),
    Fault("cut off", befalls.cut_off),
    Fault("no room in /run", befalls.run_full, often=2),
    Fault("outside away", befalls.outside_away),
    Fault("provider ails", befalls.provider_ails, loses=True, often=2),
    Fault("roster put back", befalls.roster_put_back, loses=True, often=2),
    Fault("roster forged", befalls.roster_forged, often=2),
    Fault("power cut while it joins", befalls.power_cut_while_it_joins, loses=True),
    Fault("replaced", steps.replaced, loses=True),
    Fault("replaced twice", steps.replaced_twice, loses=True, often=2),
    Fault("operator killed", steps.operator_killed, loses=True),
    Fault("rolled out", steps.rolled_out),
    Fault("workers come and go", steps.workers_come_and_go, often=2),
    Fault("control plane grows and shrinks", steps.control_plane_grows_and_shrinks, often=1),
)

Step = tuple[Fault, str, random.Random]


def walk(seed: int, keeps: str, faults: Sequence[Fault] = FAULTS) -> Callable[[], Step]:
    """Give what chooses the next step: the same seed, the same walk.

    Args:
        keeps: the node that has the database.
    """
    chance = random.Random(seed)

    def step() -> Step:
        (fault,) = chance.choices(faults, [fault.often for fault in faults])
        node = chance.choice([node for node in ALL if node != keeps or not fault.loses])
        return fault, node, random.Random(chance.random())

    return step
