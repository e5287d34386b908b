"""Remembers what is installed: at once for this boot, and for later ones when it is on the disk for sure.

Some hundred MB that are to be on a disk at once hold up a boot for seconds, its etcd above all; a minute later the
kernel has written them. Until then what was fetched stays, and a boot after a power cut checks and installs it again.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from hardway import here

PREFIX = "/opt/hardway"
PINNED, AGENT = "/etc/hardway/artifacts.json", "/etc/hardway/agent.sha256"
FRESH = "/run/hardway/installed"
SETTLING_SECONDS = 60

Item = dict[str, Any]


def pinned() -> list[Item]:
    """List what the document pins."""
    lists = here.read(PINNED) or {}
    return [*lists.get("artifacts", []), *lists.get("packages", [])]


def agent() -> Item:
    """Give the agent as an item: the document's own program has brought it, and made its mark for this boot."""
    return {"name": "agent", "sha256": here.at(AGENT).read_text().strip()}


def mark(item: Item) -> Path:
    """Name the file that says: this very content is installed, and on the disk."""
    return here.at(f"{PREFIX}/installed/{item['name']}-{item['sha256']}")


def fresh(item: Item) -> Path:
    """Name the file that says: this very content was installed in this boot."""
    return here.at(f"{FRESH}/{mark(item).name}")


def part(item: Item) -> Path:
    """Name the file that an item is fetched into."""
    return mark(item).with_name(f"{mark(item).name}.part")


def is_installed(item: Item) -> bool:
    """Tell whether an item is in its places."""
    is_known = mark(item).exists() or fresh(item).exists()
    return is_known and all(here.at(path).exists() for path in item.get("install", {}).values())


def brought(item: Item) -> None:
    """Remember for this boot that an item is in its places; what an earlier one knew of it holds no more."""
    mark(item).unlink(missing_ok=True)
    fresh(item).parent.mkdir(parents=True, exist_ok=True)
    fresh(item).touch()


def settle() -> None:
    """Remember for good what was installed a while ago in this boot."""
    known = [item for item in (*pinned(), agent()) if fresh(item).exists() and is_installed(item)]
    old = [item for item in known if time.time() - fresh(item).stat().st_mtime >= SETTLING_SECONDS]
    if old:
        os.sync()
    for item in old:
        mark(item).parent.mkdir(parents=True, exist_ok=True)
        mark(item).touch()
        fresh(item).unlink()
        part(item).unlink(missing_ok=True)
