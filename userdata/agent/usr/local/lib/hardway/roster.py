"""Keeps the roster: the peers, whether etcd may form, which addons hold; the last good one is never given up."""

from __future__ import annotations

import json
from typing import Any

from hardway import fetch, here, signed
from hardway.here import Failure

CONTEXT = "hardway-roster-v1"
VERSION = 2
# Some hundred bytes a node.
LIMIT_BYTES = 1 << 20


def refresh() -> tuple[dict[str, Any], bool]:
    """Return the newest roster, and whether the store has just confirmed it.

    Raises:
        Failure: no roster is new enough, neither in the store nor here.
    """
    launch = here.launch()
    known = here.read(here.ROSTER)
    if known and known["generation"] < launch["generation"]:
        known = None
    try:
        roster = _newest(launch, known)
    except Failure as error:
        if not known:
            raise
        print(f"generation {known['generation']} of the roster still holds: {error}", flush=True)
        return known, False
    if roster != known:
        here.write(here.ROSTER, json.dumps(roster))
        print(f"generation {roster['generation']} of the roster holds", flush=True)
    return roster, True


def _newest(launch: dict[str, Any], known: dict[str, Any] | None) -> dict[str, Any]:
    status, text, _ = fetch.ask(launch["roster_url"], limit_bytes=LIMIT_BYTES)
    if status != 200:
        raise Failure(f"the roster can't be fetched: answer {status}")
    roster = verify(text, here.facts())
    lowest = known["generation"] + 1 if known else launch["generation"]
    if roster != known and roster["generation"] < lowest:
        raise Failure(f"the store's roster is of generation {roster['generation']}, at least {lowest} is due")
    return roster


def verify(text: bytes, facts: dict[str, Any]) -> dict[str, Any]:
    """Return what the operator signed for this cluster."""
    try:
        roster = signed.verify(text, CONTEXT, facts)
    except Failure as failure:
        raise Failure(f"the roster can't be believed: {failure}") from None
    if roster.get("version") != VERSION:
        raise Failure(f"the roster is of version {roster.get('version')}, {VERSION} is known here")
    return roster
