"""Makes, shows and deletes the emulated account's VPCs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from generator import catalogue
from generator.lab.account.account import Account, Refusal, Vpc, not_found, timestamp, unprocessable
from generator.lab.account.offers import REGIONS
from generator.lab.state import PUBLIC_NETWORK

_NAME = re.compile(r"[a-zA-Z0-9.-]+")
# where the account had droplets before
_USED_REGIONS = ("fra1", "nyc3")
_NEAR = 250
"""Hosts below this number are given first."""


def add_defaults(account: Account, now: float) -> None:
    """Give the regions of an older account the default VPC that they have."""
    if account.unkind.no_default_vpc:
        return
    for region in _USED_REGIONS:
        block = str(catalogue.REGIONS[region].default_vpc)
        _add(account, Vpc(account.new_uuid(), f"default-{region}", "", region, block, default=True, created=now))


def create(account: Account, body: Mapping[str, Any], now: float) -> Vpc:
    """Make a VPC; the first one of a region becomes its default."""
    name, region = body.get("name"), body.get("region")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise unprocessable("Name must contain only alphanumeric characters, dashes, and periods.")
    if region not in REGIONS:
        raise unprocessable("Region is invalid.")
    if any(vpc.name == name for vpc in account.vpcs.values()):
        raise unprocessable("A VPC with that name already exists in your account.")
    description = str(body.get("description") or "")
    if len(description) > 255:
        raise unprocessable("Description is too long (maximum is 255 characters).")
    network = _network(account, body.get("ip_range"))
    first = all(vpc.region != region for vpc in account.vpcs.values())
    return _add(account, Vpc(account.new_uuid(), name, description, region, str(network), default=first, created=now))


def find(account: Account, identifier: str) -> Vpc:
    """Find a VPC or answer 404."""
    try:
        return account.vpcs[identifier]
    except KeyError:
        raise not_found() from None


def default(account: Account, region: str, now: float) -> Vpc:
    """Find the region's default VPC, made when the region is used first."""
    for vpc in account.vpcs.values():
        if vpc.region == region and vpc.default:
            return vpc
    network = str(_network(account, None))
    return _add(account, Vpc(account.new_uuid(), f"default-{region}", "", region, network, default=True, created=now))


def update(account: Account, identifier: str, body: Mapping[str, Any]) -> Vpc:
    """Change name and description; the range is for life."""
    vpc = find(account, identifier)
    vpc.name = str(body.get("name", vpc.name))
    vpc.description = str(body.get("description", vpc.description))
    return vpc


def delete(account: Account, identifier: str, now: float) -> None:
    """Delete a VPC that no droplet belongs to any more, which lags behind the droplets' end."""
    vpc = find(account, identifier)
    if vpc.default:
        raise Refusal(403, "forbidden", "Can not delete default VPCs")
    if any(droplet.vpc == vpc.id and droplet.is_member(now) for droplet in account.droplets.values()):
        raise Refusal(409, "conflict", "Can not delete VPC with members")
    del account.vpcs[identifier]


def shape(vpc: Vpc) -> dict[str, Any]:
    """Give the API's object."""
    return {
        "id": vpc.id,
        "urn": f"do:vpc:{vpc.id}",
        "name": vpc.name,
        "description": vpc.description,
        "region": vpc.region,
        "ip_range": vpc.ip_range,
        "default": vpc.default,
        "created_at": timestamp(vpc.created),
    }


def members(account: Account, identifier: str, now: float) -> list[dict[str, Any]]:
    """List members; their URNs hold another identifier than the droplet's number."""
    find(account, identifier)
    return [
        {"urn": f"do:droplet:{droplet.uuid}", "name": droplet.name, "created_at": timestamp(droplet.created)}
        for droplet in account.droplets.values()
        if droplet.vpc == identifier and droplet.is_member(now)
    ]


def free_address(account: Account, vpc: Vpc) -> IPv4Address:
    """Choose an address for a new droplet that none had before, or another's, in no order when the lab is unkind."""
    network = IPv4Network(vpc.ip_range)
    in_use = {IPv4Address(droplet.vpc_address) for droplet in account.living() if droplet.vpc == vpc.id}
    hosts = range(2, network.num_addresses - catalogue.VPC_RESERVED)
    if account.unkind.recycled_addresses:
        there = [host for host in map(IPv4Address, account.used_addresses) if host in network and host not in in_use]
        if len(there) > 1:
            return there[0]
    used = {IPv4Address(address) for address in account.used_addresses}
    for taken in (used, in_use):
        for block in (hosts[: _NEAR - 2], hosts[_NEAR - 2 :]):
            fresh = [network[number] for number in block if network[number] not in taken]
            if fresh:
                return account.chance().choice(fresh) if account.unkind.shuffled_addresses else fresh[0]
    raise unprocessable("There are no addresses left in the VPC.")


def _add(account: Account, vpc: Vpc) -> Vpc:
    account.vpcs[vpc.id] = vpc
    return vpc


def _network(account: Account, wish: object) -> IPv4Network:
    taken = [IPv4Network(vpc.ip_range) for vpc in account.vpcs.values()] + [*catalogue.RESERVED, PUBLIC_NETWORK]
    if wish is None or wish == "":
        blocks = IPv4Network("10.116.0.0/14").subnets(new_prefix=20)
        return next(block for block in blocks if not any(map(block.overlaps, taken)))
    try:
        network = IPv4Network(str(wish))
    except ValueError:
        raise unprocessable("IP range is invalid.") from None
    shortest, longest = catalogue.VPC_PREFIXES
    if not shortest <= network.prefixlen <= longest:
        raise unprocessable(f"IP range size must be between /{shortest} and /{longest}.")
    if not any(network.subnet_of(block) for block in catalogue.VPC_NETWORKS):
        raise unprocessable("IP range must be within a private network (RFC 1918).")
    for vpc in account.vpcs.values():
        if network.overlaps(IPv4Network(vpc.ip_range)):
            raise unprocessable(
                f"This range/size overlaps with another VPC network in your account: {vpc.name} {vpc.ip_range}"
            )
    if any(network.overlaps(block) for block in catalogue.RESERVED):
        raise unprocessable("This range/size is reserved.")
    return network
