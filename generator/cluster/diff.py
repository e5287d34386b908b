"""Compares what a cluster should be with what is there and says what to do about it; pure."""

from __future__ import annotations

from generator.cluster.kinds.kind import Action, Case
from generator.cluster.kinds.registry import KINDS, REMOVAL_ORDER
from generator.cluster.launchable import Documents
from generator.cluster.observed import Observed
from generator.plan.decide import Plan


def diff(plan: Plan, documents: Documents, observed: Observed) -> tuple[Action, ...]:
    """Say what to do, in the order in which it is done; where something is refused, nothing else is done."""
    case = Case(plan, documents, observed)
    refusals = tuple(action for kind in KINDS for action in kind.refusals(case))
    if refusals:
        return refusals
    return (
        *(action for kind in REMOVAL_ORDER for action in kind.surplus(case)),
        *(action for kind in KINDS for action in kind.differences(case)),
    )
