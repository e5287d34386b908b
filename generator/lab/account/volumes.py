"""Makes, attaches and deletes the emulated account's volumes; one volume is at one droplet, in its own region.

Source: https://docs.digitalocean.com/reference/api/ (block storage, block storage actions)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from generator import catalogue
from generator.lab.account import offers, tags
from generator.lab.account.account import Account, Action, Droplet, Refusal, Volume, not_found, timestamp, unprocessable

_NAME = re.compile(r"[a-z][a-z0-9-]{0,63}")
_FILESYSTEMS = ("", "ext4", "xfs")


def create(account: Account, body: Mapping[str, Any], now: float) -> Volume:
    """Make a volume.

    Raises:
        Refusal: the order is wrong (422), or its name is taken in the region (409).
    """
    name, region, size = body.get("name"), body.get("region"), body.get("size_gigabytes")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise unprocessable("name must begin with a letter, and hold lowercase letters, digits and dashes only")
    if region not in offers.REGIONS:
        raise unprocessable("invalid region")
    _check_size(size)
    if body.get("snapshot_id"):
        raise unprocessable("The lab has no snapshots of volumes.")
    if (body.get("filesystem_type") or "") not in _FILESYSTEMS:
        raise unprocessable("filesystem_type must be ext4 or xfs")
    if any(one.name == name and one.region == region for one in account.volumes.values()):
        raise Refusal(409, "conflict", "volume name already exists")
    if len(account.volumes) >= account.unkind.volume_limit:
        raise Refusal(403, "forbidden", "failed to create volume: volume/snapshot limit exceeded")
    labels = [tags.spelling(account, tag) for tag in body.get("tags") or ()]
    tags.ensure(account, labels, now)
    volume = Volume(
        id=account.new_uuid(),
        name=name,
        region=str(region),
        size_gigabytes=int(size),  # type: ignore[arg-type]
        description=str(body.get("description") or ""),
        filesystem_type=str(body.get("filesystem_type") or ""),
        filesystem_label=str(body.get("filesystem_label") or ""),
        tags=labels,
        created=now,
    )
    account.volumes[volume.id] = volume
    return volume


def find(account: Account, identifier: str) -> Volume:
    """Find a volume or answer 404."""
    if identifier not in account.volumes:
        raise not_found()
    return account.volumes[identifier]


def listed(account: Account, query: Mapping[str, str]) -> list[Volume]:
    """List volumes by name and region, or all."""
    name, region = query.get("name"), query.get("region")
    return [
        one
        for one in account.volumes.values()
        if (not name or one.name == name) and (not region or one.region == region)
    ]


def delete(account: Account, identifier: str, now: float) -> None:
    """Delete a volume that is attached to nothing."""
    volume = find(account, identifier)
    if volume.holder(now) is not None:
        raise Refusal(409, "conflict", "volume is attached to a droplet")
    del account.volumes[identifier]


def chosen(account: Account, identifiers: Iterable[str], region: str, now: float) -> list[Volume]:
    """Find the volumes of an order for a droplet: all free, in its region, and not too many."""
    found = []
    for identifier in dict.fromkeys(identifiers):
        if identifier not in account.volumes:
            raise unprocessable("Failed to find one or more volumes.")
        volume = account.volumes[identifier]
        if volume.region != region:
            raise unprocessable("Volumes are not in the same region as the Droplet.")
        if volume.holder(now) is not None:
            raise unprocessable(f"Volume {volume.name} is already attached to a Droplet.")
        found.append(volume)
    if len(found) > catalogue.MOST_VOLUMES:
        raise unprocessable(f"A Droplet can have {catalogue.MOST_VOLUMES} volumes.")
    return found


def plug(account: Account, volume: Volume, droplet: int, now: float, after: float) -> float:
    """Attach a volume to a droplet that is up from `after` on; give when the device is there."""
    volume.droplet, volume.free = droplet, None
    volume.plugged = volume.settled = max(now, after) + account.lag(account.unkind.volume_lag)
    return volume.plugged


def let_go(account: Account, droplet: Droplet, now: float) -> None:
    """Free the volumes of a droplet that is destroyed, after a while."""
    for volume in account.volumes.values():
        if volume.droplet == droplet.id and volume.free is None:
            volume.free = volume.settled = now + account.lag(account.unkind.volume_lag)


def act(account: Account, identifier: str, body: Mapping[str, Any], now: float) -> Action:
    """Attach, detach or grow a volume."""
    volume = find(account, identifier)
    kind, number = body.get("type"), body.get("droplet_id")
    if now < volume.settled:
        raise unprocessable("Volume already has a pending event.")
    droplet = account.droplets.get(number) if isinstance(number, int) else None
    if kind in ("attach", "detach") and (droplet is None or droplet.destroyed is not None):
        raise not_found()
    holder = volume.holder(now)
    if kind == "attach" and droplet is not None:
        if droplet.region != volume.region:
            raise unprocessable("Volume is not in the same region as the Droplet.")
        if holder is not None:
            raise unprocessable("Volume is already attached to a Droplet.")
        done = plug(account, volume, droplet.id, now, droplet.active)
    elif kind == "detach" and droplet is not None:
        if holder != droplet.id:
            raise unprocessable("Volume is not attached to the Droplet.")
        done = volume.free = volume.settled = now + account.lag(account.unkind.volume_lag)
    elif kind == "resize":
        size = body.get("size_gigabytes")
        _check_size(size)
        if int(size) <= volume.size_gigabytes:  # type: ignore[arg-type]
            raise unprocessable("size_gigabytes must be larger than the volume is")
        volume.size_gigabytes = int(size)  # type: ignore[arg-type]
        done = volume.settled = now + account.lag(account.unkind.volume_lag)
    else:
        raise unprocessable(f"{kind} is not an action of volumes")
    return account.add_action(f"{kind}_volume", holder or number or 0, volume.region, now, done, resource="volume")


def of_droplet(account: Account, droplet: Droplet, now: float) -> list[Volume]:
    """List the volumes that a droplet has, or is about to."""
    return [one for one in account.volumes.values() if one.holder(now) == droplet.id]


def plugged(account: Account, droplet: Droplet, now: float) -> list[Volume]:
    """List the volumes whose device a droplet sees."""
    return [one for one in of_droplet(account, droplet, now) if now >= one.plugged]


def shape(volume: Volume, now: float) -> dict[str, Any]:
    """Give the API's object."""
    holder = volume.holder(now)
    return {
        "id": volume.id,
        "name": volume.name,
        "region": offers.region_shape(volume.region),
        "droplet_ids": [] if holder is None else [holder],
        "size_gigabytes": volume.size_gigabytes,
        "description": volume.description,
        "filesystem_type": volume.filesystem_type,
        "filesystem_label": volume.filesystem_label,
        "tags": list(volume.tags),
        "created_at": timestamp(volume.created),
    }


def _check_size(size: object) -> None:
    if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= catalogue.LARGEST_VOLUME_GIB:
        raise unprocessable("size_gigabytes must be between 1 and 16384")
