"""Lets ways, balancer and addons follow the roster: at boot until each peer that matters is found, then each change."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Any

from hardway import addons, balancer, datapath, here, images, installed, roster, survey
from hardway.here import Failure
from hardway.waiting import patiently

MET = "/var/lib/hardway/mesh.met"
PATIENCE = 120.0


class Lost(Failure):
    """Nothing says yet where a control-plane node is."""


def meet() -> None:
    """Bring the ways up; on the first boot wait, bounded, for a way to each control-plane node."""
    facts, rosters = here.facts(), looks()
    if not here.at(MET).exists():
        images.begin()
    datapath.create(facts)

    def look() -> None:
        found = next(rosters)
        datapath.follow(found)
        balancer.follow(found)
        if not here.at(MET).exists() and (lost := datapath.unknown(facts, found)):
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
    """Read the roster again; ways, balancer and addons follow its changes. What else has time is done as well."""
    before = here.read(here.ROSTER)
    after, _ = roster.refresh()
    if datapath.exists():
        if not datapath.is_followed(after):
            datapath.follow(after)
        balancer.follow(after)
    is_other = bool(before) and any(before.get(key) != after.get(key) for key in ("addons", "secrets"))
    if is_other and here.facts()["role"] == "control-plane":
        if here.at(addons.MARK).exists():
            with suppress(Failure):
                here.run("systemctl", "stop", addons.AGAIN)
        here.run("systemctl", "try-restart", "--no-block", "hardway-bootstrap.service")
    elif addons.is_time():
        addons.try_again()
    survey.again()
    with suppress(OSError):
        installed.settle()
