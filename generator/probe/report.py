"""Reads what droplets say of themselves, which is nobody's word but theirs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from generator import bounded

GROUPS = frozenset(
    {
        "kernel",
        "cloud_init",
        "system",
        "network",
        "metadata",
        "disk",
        "downloads",
        "volume",
        "replug",
        "reserved",
        "peer",
    }
)
"""What a droplet tells of, one after the other."""
LIMIT_BYTES = 256 * 1024
_TOLD = GROUPS | {"faults"}


def read(body: bytes | None) -> dict[str, Any]:
    """Read what a droplet said; nothing where that is no report.

    >>> read(b'{"done": true, "kernel": {}}'), read(b"[1]"), read(None)
    ({'kernel': {}, 'done': True}, {}, {'done': False})
    """
    try:
        found = bounded.parse_json(body or b"{}")
    except ValueError:
        return {}
    if not isinstance(found, dict):
        return {}
    told = {name: value for name, value in found.items() if name in _TOLD and isinstance(value, dict)}
    return {**told, "done": found.get("done") is True}


def both(said: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Join what two droplets heard of each other: what a rule allows has to come both ways, the rest at none.

    >>> both([{"ruled": True, "unruled": False, "foreign": False}, {"ruled": True, "unruled": False, "foreign": True}])
    {'ruled': True, 'unruled': False, 'foreign': True}
    >>> both([{"ruled": True, "unruled": False, "foreign": False}, {}])
    {}
    """
    if any(not isinstance(one, Mapping) or not {"ruled", "unruled", "foreign"} <= one.keys() for one in said):
        return {}
    joined = {"ruled": all, "unruled": any, "foreign": any}
    return {name: how(one[name] is True for one in said) for name, how in joined.items()}
