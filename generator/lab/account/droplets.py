"""Makes, shows and destroys the emulated account's droplets, with the lags and moods of the real ones."""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from generator import catalogue
from generator.lab.account import offers, snapshots, ssh_keys, tags, volumes, vpcs
from generator.lab.account.account import (
    Account,
    Action,
    Droplet,
    Refusal,
    Vpc,
    not_found,
    timestamp,
    unprocessable,
)
from generator.lab.state import FIRST_DROPLET_ADDRESS, LAST_DROPLET_ADDRESS, PUBLIC_GATEWAY, PUBLIC_NETWORK

_NAME = re.compile(r"[a-zA-Z0-9]?[a-z0-9A-Z.-]*[a-z0-9A-Z]")
_MOST_AT_ONCE = 10
_MORE_ADDRESSES = IPv4Network("198.18.0.0/15")
"""Of droplets beyond those that the lab has wires for. Source: RFC 2544 (for tests of network devices)"""


def create(account: Account, body: Mapping[str, Any], now: float) -> list[Droplet]:
    """Make one droplet, or several that share everything but the name; its machine is started by the lab.

    Raises:
        Refusal: the order is wrong (404, 422), or with 500 although the droplets were made.
    """
    names = _names(body)
    region = body.get("region", "nyc3")
    size = offers.SIZES.get(str(body.get("size")))
    image = offers.image(body.get("image"))
    snapshot = snapshots.find(account, body.get("image"), now)
    if region not in offers.REGIONS:
        raise unprocessable("You specified an invalid region for Droplet creation.")
    if size is None:
        raise unprocessable("You specified an invalid size for Droplet creation.")
    if region not in offers.regions_of(size):
        raise unprocessable("Size is not available in this region.")
    if snapshot is not None:
        snapshots.check(snapshot, str(region), size)
    elif image is None:
        raise unprocessable("You specified an invalid image for Droplet creation.")
    elif not image.bootable:
        raise unprocessable(f"The lab has no machine for the image {image.slug}.")
    if body.get("public_networking") is False:
        raise unprocessable("The lab has no droplets without a public address.")
    user_data = _user_data(body.get("user_data"))
    keys = ssh_keys.chosen(account, body.get("ssh_keys") or [], now)
    vpc = vpcs.find(account, str(body["vpc_uuid"])) if body.get("vpc_uuid") else vpcs.default(account, region, now)
    if vpc.region != region:
        raise unprocessable("VPC is not in the same region as the Droplet.")
    disks = volumes.chosen(account, body.get("volumes") or (), str(region), now)
    if disks and len(names) > 1:
        raise unprocessable("Volumes can be attached to one Droplet only.")
    labels = [tags.spelling(account, tag) for tag in body.get("tags") or ()]
    if len(account.living()) + len(names) > account.unkind.droplet_limit:
        raise unprocessable("creating this/these droplet(s) will exceed your droplet limit")
    tags.ensure(account, labels, now)
    features = [name for name in ("monitoring", "ipv6", "backups") if body.get(name)] + ["private_networking"]
    source = image.slug if image else str(body["image"])
    order = (str(region), size.slug, source, labels, user_data, keys, features)
    made = [_make(account, name, vpc, order, now) for name in names]
    for volume in disks:
        volumes.plug(account, volume, made[0].id, now, made[0].active)
    if account.failed_creates < account.unkind.failing_creates:
        account.failed_creates += 1
        raise Refusal(500, "server_error", "Server was unable to give you a response.")
    return made


def find(account: Account, identifier: str, now: float) -> Droplet:
    """Find a droplet by number, or answer 404 as also happens shortly after it was made."""
    droplet = account.droplets.get(int(identifier)) if identifier.isdecimal() else None
    if droplet is None or not droplet.exists(now):
        raise not_found()
    return droplet


def listed(account: Account, query: Mapping[str, str], now: float) -> list[Droplet]:
    """List droplets by tag or by name (any case), or all."""
    tag, name = query.get("tag_name"), query.get("name")
    if tag and name:
        raise unprocessable("tag_name and name can't be combined")
    return [
        droplet
        for _, droplet in sorted(account.droplets.items())
        if droplet.is_listed(now)
        and (not tag or tag in droplet.tags)
        and (not name or name.lower() == droplet.name.lower())
    ]


def destroy(account: Account, identifier: str, now: float) -> Droplet:
    """Destroy a droplet: its machine goes at once, answers show it for a while."""
    droplet = find(account, identifier, now)
    if droplet.destroyed is not None:
        raise not_found()
    if not droplet.failed and (now < droplet.active or snapshots.pending(account, droplet, now)):
        raise unprocessable("Droplet already has a pending event.")
    return end(account, droplet, now)


def destroy_tagged(account: Account, tag: str, now: float) -> list[Droplet]:
    """Destroy all droplets that carry a tag."""
    return [end(account, droplet, now) for droplet in account.tagged(tags.find(account, tag))]


def end(account: Account, droplet: Droplet, now: float) -> Droplet:
    """Take a droplet away, whatever it is doing, as the provider itself may do."""
    unkind = account.unkind
    droplet.destroyed = now
    for address in (droplet.public_address, droplet.vpc_address):
        account.used_addresses.remove(address)
        account.used_addresses.append(address)
    volumes.let_go(account, droplet, now)
    droplet.unread = now + account.lag(unkind.read_lag)
    droplet.unlisted = now + account.lag(unkind.list_lag)
    droplet.left_vpc = now + account.lag(unkind.member_lag)
    return droplet


def act(account: Account, identifier: str, body: Mapping[str, Any], now: float) -> Action:
    """Ask something of a droplet: power, reboot, a snapshot, or a new disk with the old user-data."""
    droplet = find(account, identifier, now)
    kind = body.get("type")
    if droplet.destroyed is not None or now < droplet.active or snapshots.pending(account, droplet, now):
        raise unprocessable("Droplet already has a pending event.")
    if kind == "snapshot":
        return snapshots.take(account, droplet, body.get("name"), now)
    if kind in ("power_on", "power_cycle", "reboot", "rebuild"):
        droplet.power = True
        droplet.boots += 1
        droplet.disks += kind == "rebuild"
    elif kind in ("power_off", "shutdown"):
        droplet.power = False
    else:
        raise unprocessable(f"{kind} is not an action of the lab's droplets.")
    return account.add_action(str(kind), droplet.id, droplet.region, now, now + account.lag(account.unkind.boot_lag))


def fail(account: Account, identifier: int, now: float) -> None:
    """Note that a droplet's machine could not be started, so that its creation ends in an error."""
    droplet = account.droplets[identifier]
    droplet.failed = True
    droplet.active = now


def shape(account: Account, droplet: Droplet, now: float) -> dict[str, Any]:
    """Give the API's object, which knows less the younger the droplet is."""
    size, image = offers.SIZES[droplet.size], offers.image(droplet.image)
    snapshot = snapshots.find(account, droplet.image, now)
    value: dict[str, Any] = {
        "id": droplet.id,
        "name": droplet.name,
        "memory": size.memory_mib,
        "vcpus": size.vcpus,
        "disk": size.disk_gib,
        "disk_info": [{"type": "local", "size": {"amount": size.disk_gib, "unit": "gib"}}],
        "locked": status(droplet, now) == "new",
        "status": status(droplet, now),
        "kernel": None,
        "created_at": timestamp(droplet.created),
        "features": list(droplet.features),
        "backup_ids": [],
        "next_backup_window": None,
        "snapshot_ids": [one.id for one in snapshots.listed(account, now) if one.droplet == droplet.id],
        # of a snapshot that was deleted nothing is told any more
        "image": image.shape() if image else snapshots.shape(snapshot) if snapshot else {},
        "volume_ids": [one.id for one in volumes.of_droplet(account, droplet, now)],
        "size": offers.size_shape(size),
        "size_slug": size.slug,
        "networks": {"v4": _networks(account, droplet, now), "v6": []},
        "region": offers.region_shape(droplet.region),
        "tags": list(droplet.tags),
    }
    if now >= (droplet.created + droplet.active) / 2 and now > droplet.created:
        value["vpc_uuid"] = droplet.vpc
    return value


def status(droplet: Droplet, now: float) -> str:
    """Say `new`, `active` or `off`."""
    if droplet.failed or now < droplet.active:
        return "new"
    return "active" if droplet.power else "off"


def action_shape(account: Account, action: Action, now: float) -> dict[str, Any]:
    """Give the API's object of an action."""
    droplet = account.droplets.get(action.droplet)
    errored = action.errored or (action.type == "create" and droplet is not None and droplet.failed)
    done = errored or now >= action.completed
    return {
        "id": action.id,
        "status": "errored" if errored else "completed" if done else "in-progress",
        "type": action.type,
        "started_at": timestamp(action.started),
        "completed_at": timestamp(action.completed) if done else None,
        "resource_id": action.droplet if action.resource == "droplet" else None,
        "resource_type": action.resource,
        "region": offers.region_shape(action.region),
        "region_slug": action.region,
    }


def actions(account: Account, identifier: str, now: float) -> list[Action]:
    """List what was asked of a droplet, the latest first."""
    number = find(account, identifier, now).id
    found = [one for one in account.actions.values() if one.resource == "droplet" and one.droplet == number]
    return sorted(found, key=lambda action: -action.id)


def find_action(account: Account, identifier: str) -> Action:
    """Find an action or answer 404."""
    action = account.actions.get(int(identifier)) if identifier.isdecimal() else None
    if action is None:
        raise not_found()
    return action


def _make(account: Account, name: str, vpc: Vpc, order: tuple[Any, ...], now: float) -> Droplet:
    region, size, image, labels, user_data, keys, features = order
    unkind = account.unkind
    active = now + account.lag(unkind.boot_lag)
    number = account.next_number()
    droplet = Droplet(
        id=number,
        uuid=account.new_uuid(),
        name=name,
        region=region,
        size=size,
        image=image,
        vpc=vpc.id,
        tags=list(dict.fromkeys(labels)),
        public_address=str(_public_address(account)),
        vpc_address=str(vpcs.free_address(account, vpc)),
        user_data=user_data,
        keys=keys,
        features=features,
        action=account.add_action("create", number, region, now, active).id,
        created=now,
        readable=now + account.lag(unkind.read_lag),
        listed=now + account.lag(unkind.list_lag),
        active=active,
        placed=active + account.lag(unkind.network_lag),
    )
    account.droplets[number] = droplet
    account.used_addresses += [droplet.public_address, droplet.vpc_address]
    return droplet


def _public_address(account: Account) -> IPv4Address:
    """Give an address that no droplet had before, or has now; machines are reached at those of the lab's network."""
    taken = {droplet.public_address for droplet in account.droplets.values()}
    pool = [str(IPv4Address(number)) for number in range(int(FIRST_DROPLET_ADDRESS), int(LAST_DROPLET_ADDRESS) + 1)]
    for gone in (account.used_addresses, taken):
        if fresh := [address for address in pool if address not in gone]:
            return IPv4Address(fresh[0])
    return next(address for address in _MORE_ADDRESSES.hosts() if str(address) not in taken)


def _networks(account: Account, droplet: Droplet, now: float) -> list[dict[str, Any]]:
    if droplet.failed or now < (droplet.active + droplet.placed) / 2:
        return []
    network = IPv4Network(account.vpcs[droplet.vpc].ip_range) if droplet.vpc in account.vpcs else PUBLIC_NETWORK
    private = {
        "ip_address": droplet.vpc_address,
        "netmask": str(network.netmask),
        "gateway": "nil",
        "type": "private",
    }
    public = {
        "ip_address": droplet.public_address,
        "netmask": str(PUBLIC_NETWORK.netmask),
        "gateway": str(PUBLIC_GATEWAY.ip),
        "type": "public",
    }
    return [private] if now < droplet.placed else [private, public]


def _names(body: Mapping[str, Any]) -> list[str]:
    names = body["names"] if "names" in body else [body.get("name")]
    if ("name" in body) == ("names" in body) or not isinstance(names, list) or not names:
        raise unprocessable("Name can't be blank")
    if len(names) > _MOST_AT_ONCE:
        raise unprocessable(f"You can only create {_MOST_AT_ONCE} Droplets at a time.")
    for name in names:
        if not isinstance(name, str) or len(name) > 255 or not _NAME.fullmatch(name):
            raise unprocessable("Only valid hostname characters are allowed. (a-z, A-Z, 0-9, . and -)")
    return names


def _user_data(text: object) -> str:
    if text is None:
        return ""
    if not isinstance(text, str):
        raise unprocessable("User data must be plain text.")
    if len(text.encode()) > catalogue.USER_DATA_BYTES:
        raise unprocessable("User data is too long (maximum is 64 KiB).")
    return text
