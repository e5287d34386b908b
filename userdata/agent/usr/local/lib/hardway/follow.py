"""Lets mesh, balancer and addons follow the roster: at boot until each peer that matters is found, then each change."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Any

from hardway import balancer, here, installed, mesh, roster
from hardway.here import Failure
from hardway.waiting import patiently

MET = "/var/lib/hardway/mesh.met"
PATIENCE = 120.0


class Lost(Failure):
    """Nothing says yet where a control-plane node is."""


def meet() -> None:
    """Bring the mesh up; on the first boot wait, bounded, for a way to each control-plane node."""
    facts, rosters = here.facts(), looks()
    mesh.create(facts)

    def look() -> None:
        found = next(rosters)
        mesh.follow(found)
        balancer.follow(found)
        if not here.at(MET).exists() and (lost := mesh.unknown(facts, found)):
            raise Lost(f"no endpoint yet: {', '.join(lost)}")

    with suppress(Lost):
        patiently(look, PATIENCE, 2, on=Lost, say=partial(print, flush=True))
    here.write(MET, "")


def looks() -> Iterator[dict[str, Any]]:
    """Give the roster that is here, then what it has become at each look."""
    yield here.read(here.ROSTER)
    while True:
        yield roster.refresh()[0]


def changes() -> None:
    """Read the roster again; mesh, balancer and addons follow its changes. What else has time is done as well."""
    installed.settle()
    before = here.read(here.ROSTER)
    after, _ = roster.refresh()
    # What was applied is compared, not what was known: another step may have read the roster first.
    if mesh.exists() and here.read(mesh.APPLIED) != mesh.peers(here.facts(), after):
        mesh.follow(after)
    if mesh.exists():
        balancer.follow(after)
    is_other = bool(before) and any(before.get(key) != after.get(key) for key in ("addons", "secrets"))
    if is_other and here.facts()["role"] == "control-plane":
        here.run("systemctl", "try-restart", "--no-block", "hardway-bootstrap.service")
