"""Says which function each step of the node is."""

from __future__ import annotations

import importlib
from collections.abc import Callable

from hardway.here import Terminal

STEPS = {
    "binaries": "binaries:step",
    "roster": "follow:changes",
    "bootstrap": "bootstrap:step",
    "again": "bootstrap:again",
    "channel": "channel:step",
    "etcd": "etcd:step",
    "grow": "volumes:grow",
    "images": "images:step",
    "kubelet": "node:prepare",
    "mesh": "follow:meet",
    "node": "node:ready",
    "promote": "etcd:promote",
    "secrets": "secrets:step",
    "status": "status:step",
    "turn": "turn:step",
    "upkeep": "upkeep:step",
    "volumes": "volumes:step",
}


def found(step: str) -> Callable[[], None]:
    """Find a step's function.

    Raises:
        Terminal: there is no such step.
    """
    if step not in STEPS:
        raise Terminal(f"no such step; there are {', '.join(STEPS)}")
    module, function = STEPS[step].split(":")
    step_of: Callable[[], None] = getattr(importlib.import_module(f"hardway.{module}"), function)
    return step_of
