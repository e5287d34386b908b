"""Gives, moves and releases the emulated account's reserved addresses; one droplet has one at most, in its own region.

Source: https://docs.digitalocean.com/reference/api/ (reserved IPs, reserved IP actions)
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address
from typing import Any

from generator.lab.account import droplets, offers
from generator.lab.account.account import Account, Action, Droplet, ReservedIp, not_found, unprocessable
from generator.lab.state import FIRST_RESERVED_ADDRESS, LAST_RESERVED_ADDRESS

_PENDING = "The reserved IP already has a pending event."


def create(account: Account, body: Mapping[str, Any], now: float) -> ReservedIp:
    """Give an address to a droplet, or keep one in a region for later.

    Raises:
        Refusal: there is no such droplet or region, it has one, or the account may have no more (422).
    """
    number, region = body.get("droplet_id"), body.get("region")
    if (number is None) == (region is None):
        raise unprocessable("You must specify either a droplet_id or a region.")
    if len(account.reserved_ips) >= account.unkind.address_limit:
        raise unprocessable("You have reached the limit of reserved IPs on this account.")
    droplet = _droplet(account, number) if number is not None else None
    if droplet is None and region not in offers.REGIONS:
        raise unprocessable("invalid region")
    if droplet is not None and now < droplet.active:
        raise unprocessable("Droplet already has a pending event.")
    if droplet is not None and of_droplet(account, droplet) is not None:
        raise unprocessable("The Droplet already has a reserved IP.")
    pool = range(int(FIRST_RESERVED_ADDRESS), int(LAST_RESERVED_ADDRESS) + 1)
    free = [str(IPv4Address(one)) for one in pool if str(IPv4Address(one)) not in account.reserved_ips]
    if not free:
        raise unprocessable("There are no reserved IPs left in this region.")
    made = ReservedIp(account.chance().choice(free), droplet.region if droplet else str(region), now)
    account.reserved_ips[made.ip] = made
    if droplet is not None:
        _give(account, made, droplet, now)
    return made


def find(account: Account, address: str) -> ReservedIp:
    """Find an address or answer 404."""
    if address not in account.reserved_ips:
        raise not_found()
    return account.reserved_ips[address]


def release(account: Account, address: str, now: float) -> None:
    """Give an address back, unless it is on its way; whoever had it has it no more.

    Source: https://github.com/digitalocean/doctl/issues/493 (422 right after it was unassigned)
    """
    one = find(account, address)
    if now < one.moved:
        raise unprocessable(_PENDING)
    del account.reserved_ips[one.ip]


def act(account: Account, address: str, body: Mapping[str, Any], now: float) -> Action:
    """Give an address to another droplet, or to none."""
    one, kind = find(account, address), body.get("type")
    if now < one.moved:
        raise unprocessable(_PENDING)
    if kind == "assign":
        droplet = _droplet(account, body.get("droplet_id"))
        if droplet.region != one.region:
            raise unprocessable("The Droplet is not in the same region as the reserved IP.")
        if now < droplet.active:
            raise unprocessable("Droplet already has a pending event.")
        other = of_droplet(account, droplet)
        if other is not None and other is not one:
            raise unprocessable("The Droplet already has a reserved IP.")
        _give(account, one, droplet, now)
    elif kind == "unassign":
        if holder(account, one) is None:
            raise unprocessable("The reserved IP is not assigned to a Droplet.")
        one.droplet, one.moved = None, now + account.lag(account.unkind.address_lag)
    else:
        raise unprocessable(f"{kind} is not an action of reserved IPs")
    return account.add_action(f"{kind}_ip", one.droplet or 0, one.region, now, one.moved, resource="reserved_ip")


def holder(account: Account, one: ReservedIp) -> Droplet | None:
    """Give the droplet that has an address; one that is destroyed has none."""
    droplet = account.droplets.get(one.droplet) if one.droplet is not None else None
    return droplet if droplet is not None and droplet.destroyed is None else None


def of_droplet(account: Account, droplet: Droplet) -> ReservedIp | None:
    """Give the address that a droplet has, or is about to."""
    return next((one for one in account.reserved_ips.values() if holder(account, one) is droplet), None)


def working(account: Account, now: float) -> dict[str, Droplet]:
    """Give the droplets that are reached at reserved addresses now, by these."""
    found = {one.ip: holder(account, one) for one in account.reserved_ips.values() if now >= one.moved}
    return {ip: droplet for ip, droplet in found.items() if droplet is not None}


def shape(account: Account, one: ReservedIp, now: float) -> dict[str, Any]:
    """Give the API's object."""
    droplet = holder(account, one)
    return {
        "ip": one.ip,
        "region": offers.region_shape(one.region),
        "droplet": droplets.shape(account, droplet, now) if droplet is not None else None,
        "locked": now < one.moved,
        "project_id": "746c6152-2fa2-11ed-92d3-27aaa54e4988",
    }


def _give(account: Account, one: ReservedIp, droplet: Droplet, now: float) -> None:
    one.droplet, one.moved = droplet.id, now + account.lag(account.unkind.address_lag)


def _droplet(account: Account, number: object) -> Droplet:
    found = account.droplets.get(number) if isinstance(number, int) else None
    if found is None or found.destroyed is not None:
        raise unprocessable("Droplet not found.")
    return found
