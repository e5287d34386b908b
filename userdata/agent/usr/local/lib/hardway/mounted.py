"""Tells how mounted volumes are, for whoever writes there: how full, and whether they take anything at all."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from typing import Any

from hardway import here

PLANNED = "/etc/hardway/volumes.json"
VOLUMES = "/var/lib/hardway/volumes"
MOUNTS = "/proc/self/mounts"
# Below this in steps of ten, from here on in ones: what is reported is not new at each look.
FINE_PERCENT = 90
FULL_PERCENT = 95
# The kernel's words for a file system that it has stopped; older kernels have none.
STOPPED = {"emergency_ro", "shutdown"}


@dataclass(frozen=True)
class Use:
    """How one mounted volume is: how full, in percent, and why nothing can be written, if that is so."""

    name: str
    percent: int
    trouble: str


def planned() -> list[dict[str, Any]]:
    """Give the volumes that the document plans."""
    return list(here.read(PLANNED) or ())


def place(volume: dict[str, Any]) -> str:
    """Give where a volume belongs."""
    return f"{VOLUMES}/{volume['name']}"


def options(volume: dict[str, Any]) -> set[str] | None:
    """Give how a volume is mounted, None where it is not."""
    for line in here.at(MOUNTS).read_text().splitlines():
        _, where, _, how, *_ = line.split(" ")
        if where == place(volume):
            return set(how.split(","))
    return None


def uses() -> list[Use]:
    """Look at each planned volume that is mounted."""
    return [use(volume) for volume in planned() if options(volume) is not None]


def use(volume: dict[str, Any]) -> Use:
    """Look at a mounted volume."""
    wrong = trouble(volume)
    try:
        found = os.statvfs(here.at(place(volume)))
    except OSError as error:
        return Use(volume["name"], 0, wrong or f"unreadable: {error.strerror}")
    percent = max(
        share(found.f_blocks - found.f_bfree, found.f_bavail), share(found.f_files - found.f_ffree, found.f_favail)
    )
    return Use(volume["name"], percent, wrong)


def share(used: int, free: int) -> int:
    """Give what is used of what a user may have, in percent rounded up, coarsely while there is room."""
    percent = -(-100 * used // (used + free)) if used + free else 0
    return percent if percent >= FINE_PERCENT else -(-percent // 10) * 10


def trouble(volume: dict[str, Any]) -> str:
    """Say why a mounted volume takes nothing: the kernel stops a damaged one by itself, and not every kernel tells."""
    how = options(volume)
    if how is None:
        return "not mounted"
    if "rw" not in how or how & STOPPED:
        return "read-only"
    try:
        # Nothing is written; a file system that was stopped refuses it.
        directory = os.open(here.at(place(volume)), os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except PermissionError:
        return ""  # it is the pods' own
    except OSError as error:
        return "read-only" if error.errno == errno.EROFS else f"stopped: {error.strerror}"
    return ""
