"""Tells whether a name fits the pattern of a patch's target, in time that no pattern can stretch."""

from __future__ import annotations

import re
from functools import cache

_PATTERN = re.compile(r"(?:[A-Za-z0-9:-]|\.)(?:[A-Za-z0-9:.|-]|(?<![*|])\*)*")
LENGTH = 253


def is_pattern(text: str) -> bool:
    """Tell whether it is one: letters, digits, `-` and `:` for themselves, `.`, `*` and `|` as in any pattern."""
    return len(text) <= LENGTH and (not text or _PATTERN.fullmatch(text) is not None)


def fits(pattern: str, name: str) -> bool:
    """Tell whether a whole name fits.

    All places in the pattern that may be next are kept at once, so that nothing is tried a second time.

    >>> fits("web|db-.*", "db-main"), fits("web|db-.*", "web-2"), fits("a*b", "b")
    (True, False, True)
    """
    return any(_fits(_parts(one), name) for one in pattern.split("|"))


@cache
def _parts(pattern: str) -> tuple[tuple[str, bool], ...]:
    return tuple((part[0], part.endswith("*") and len(part) > 1) for part in re.findall(r"[^*]\*?", pattern))


def _fits(parts: tuple[tuple[str, bool], ...], name: str) -> bool:
    places = _beyond(parts, {0})
    for char in name:
        fitting = {at for at in places if at < len(parts) and parts[at][0] in (".", char)}
        places = _beyond(parts, {at if parts[at][1] else at + 1 for at in fitting})
        if not places:
            return False
    return len(parts) in places


def _beyond(parts: tuple[tuple[str, bool], ...], places: set[int]) -> set[int]:
    found = set()
    for at in places:
        found.add(at)
        while at < len(parts) and parts[at][1]:
            at += 1
            found.add(at)
    return found
