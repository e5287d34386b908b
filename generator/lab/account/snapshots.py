"""Takes, shows and deletes the emulated account's snapshots of droplets, and lets droplets be made of them.

Source: https://docs.digitalocean.com/reference/api/ (droplet actions, images)
"""

from __future__ import annotations

import math
from typing import Any

from generator import catalogue
from generator.lab.account import offers
from generator.lab.account.account import Account, Action, Droplet, Snapshot, not_found, timestamp, unprocessable

BASE_GIGABYTES = 2.1
"""What the distribution's own part of a disk counts for."""


def take(account: Account, droplet: Droplet, name: object, now: float) -> Action:
    """Ask for a copy of a droplet's disk; it is done when the lab has made it and says so.

    Raises:
        Refusal: it has no name, or the droplet is on, of which the lab can't make one.
    """
    if not isinstance(name, str) or not name:
        raise unprocessable("Name can't be blank")
    if droplet.power:
        raise unprocessable("The lab takes snapshots of droplets that are off.")
    action = account.add_action("snapshot", droplet.id, droplet.region, now, math.inf)
    disk = offers.SIZES[droplet.size].disk_gib
    number = account.next_number()
    account.snapshots[number] = Snapshot(number, name, droplet.region, droplet.id, action.id, disk, now)
    return action


def made(account: Account, number: int, gigabytes: float, now: float) -> None:
    """Note that the lab has made a copy: it is there a while later."""
    one = account.snapshots[number]
    one.gigabytes = round(BASE_GIGABYTES + gigabytes, 2)
    one.ready = account.actions[one.action].completed = now + account.lag(account.unkind.boot_lag)


def fail(account: Account, number: int, now: float) -> None:
    """Note that a copy could not be made."""
    action = account.actions[account.snapshots.pop(number).action]
    action.errored, action.completed = True, now


def pending(account: Account, droplet: Droplet, now: float) -> bool:
    """Tell whether a droplet's disk is being copied."""
    return any(one.droplet == droplet.id and now < one.ready for one in account.snapshots.values())


def wanted(account: Account) -> list[Snapshot]:
    """List those that are to be made."""
    return [one for one in account.snapshots.values() if one.ready == math.inf]


def listed(account: Account, now: float) -> list[Snapshot]:
    """List those that are there."""
    return [one for one in account.snapshots.values() if now >= one.ready]


def find(account: Account, key: object, now: float) -> Snapshot | None:
    """Find one that is there by its number: a snapshot's name is no key."""
    return next((one for one in listed(account, now) if key in (one.id, str(one.id))), None)


def delete(account: Account, key: str, now: float) -> None:
    """Delete one; droplets that were made of it keep their disks."""
    one = find(account, key, now)
    if one is None:
        raise not_found()
    del account.snapshots[one.id]


def check(one: Snapshot, region: str, size: catalogue.Size) -> None:
    """See whether a droplet of a size can be made of one in a region."""
    if region != one.region:
        raise unprocessable("The image is not available in the selected region.")
    if size.disk_gib < one.min_disk:
        raise unprocessable("This size is not available because it has a smaller disk.")


def shape(one: Snapshot) -> dict[str, Any]:
    """Give the API's object, an image among others."""
    return {
        "id": one.id,
        "name": one.name,
        "distribution": catalogue.DEBIAN_13.distribution,
        "slug": None,
        "public": False,
        "regions": [one.region],
        "created_at": timestamp(one.created),
        "type": "snapshot",
        "min_disk_size": one.min_disk,
        "size_gigabytes": one.gigabytes,
        "description": "",
        "tags": [],
        "status": "available",
        "error_message": "",
    }
