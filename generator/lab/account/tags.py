"""Makes, shows and deletes the emulated account's tags."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from generator.lab.account.account import Account, Droplet, not_found, unprocessable

_NAME = re.compile(r"[a-zA-Z0-9_:-]{1,255}")


def valid(name: object) -> str:
    """Check a tag's name.

    Source: https://docs.digitalocean.com/reference/api/ (tags: letters, numbers, colons, dashes and underscores)
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise unprocessable("Tag name may only contain letters, numbers, colons, dashes, and underscores.")
    return name


def spelling(account: Account, name: object) -> str:
    """Give a tag as it was written when it was made first: tags don't care for case, but keep it."""
    text = valid(name)
    return next((tag for tag in account.tags if tag.lower() == text.lower()), text)


def create(account: Account, body: Mapping[str, Any], now: float) -> str:
    """Make a tag; whether the real API refuses one that exists isn't known, so this one does."""
    name = valid(body.get("name"))
    if spelling(account, name) in account.tags:
        raise unprocessable("Tag already exists.")
    account.tags[name] = now
    return name


def ensure(account: Account, names: list[str], now: float) -> None:
    """Make the tags of a new droplet where they are missing."""
    for name in names:
        account.tags.setdefault(name, now)


def find(account: Account, name: str) -> str:
    """Find a tag or answer 404."""
    if name not in account.tags:
        raise not_found()
    return name


def delete(account: Account, name: str) -> None:
    """Delete a tag, and take it off whatever carries it."""
    del account.tags[find(account, name)]
    for droplet in account.droplets.values():
        droplet.tags = [tag for tag in droplet.tags if tag != name]
    for firewall in account.firewalls.values():
        firewall.tags = [tag for tag in firewall.tags if tag != name]
    for volume in account.volumes.values():
        volume.tags = [tag for tag in volume.tags if tag != name]


def assign(account: Account, name: str, body: Mapping[str, Any], now: float, *, on: bool) -> None:
    """Put a tag on droplets, or take it off."""
    find(account, name)
    for droplet in _named(account, body, now):
        droplet.tags = [tag for tag in droplet.tags if tag != name] + ([name] if on else [])


def shape(account: Account, name: str) -> dict[str, Any]:
    """Give the API's object."""
    droplets = account.tagged(name)
    counts: dict[str, Any] = {
        kind: {"count": 0} for kind in ("droplets", "images", "volumes", "volume_snapshots", "databases")
    }
    counts["droplets"] = {"count": len(droplets)}
    volumes = sum(name in volume.tags for volume in account.volumes.values())
    counts["volumes"] = {"count": volumes}
    if droplets:
        last = f"https://api.digitalocean.com/v2/droplets/{droplets[-1].id}"
        counts["droplets"]["last_tagged_uri"] = last
    return {"name": name, "resources": {"count": len(droplets) + volumes, **counts}}


def _named(account: Account, body: Mapping[str, Any], now: float) -> list[Droplet]:
    found = []
    for resource in body.get("resources") or ():
        if resource.get("resource_type") != "droplet":
            raise unprocessable("The lab tags droplets only.")
        number = str(resource.get("resource_id"))
        droplet = account.droplets.get(int(number)) if number.isdecimal() else None
        if droplet is None or not droplet.exists(now):
            raise not_found()
        found.append(droplet)
    return found
