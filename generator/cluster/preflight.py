"""Finds what the provider would refuse half way, before anything is made; all at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from generator.cluster.addresses import kept, unneeded
from generator.cluster.kinds.droplet import DROPLET
from generator.cluster.kinds.kind import Action
from generator.cluster.kinds.volume import VOLUME
from generator.cluster.observed import ADDRESSES, VOLUMES, Observed
from generator.errors import Problem
from generator.plan.decide import Plan
from generator.provider.digitalocean import Cloud
from generator.provider.resources import Account, Size
from generator.release import baked

ACTIVE, LOCKED = "active", "locked"
"""Statuses of an account; the third is `warning`, which forbids nothing.
Source: https://docs.digitalocean.com/reference/api/ (account, `status`)"""
SKEW = timedelta(seconds=60)


@dataclass(frozen=True)
class Availability:
    """What the provider has to offer; `image_regions` is None when there is no such image.

    Of a baked image the kind of that name knows.
    """

    account: Account
    droplets: int
    sizes: Sequence[Size]
    image_regions: Sequence[str] | None


def look(cloud: Cloud, plan: Plan) -> tuple[Availability, datetime]:
    """Ask the provider what it has to offer, and what time it is."""
    account, time = cloud.account()
    regions = (plan.region,) if baked.read(plan.image) else cloud.image_regions(plan.image)
    return Availability(account, cloud.droplet_count(), cloud.sizes(), regions), time


def faults(
    plan: Plan, actions: Sequence[Action], offered: Availability, observed: Observed | None = None
) -> list[Problem]:
    """Find what the provider would refuse half way."""
    problems = [
        Problem(action.why, where=action.where, hint=action.hint) for action in actions if action.verb == "refuse"
    ]
    if offered.account.status == LOCKED:
        hint = "the provider's support unlocks it: https://cloudsupport.digitalocean.com"
        problems.append(Problem(_standing(offered.account), hint=hint))
    problems += _address_faults(plan, offered, observed) if observed is not None else []
    problems += _volume_faults(actions, offered, observed) if observed is not None else []
    coming = [action.name for action in actions if action.kind is DROPLET and action.verb in ("create", "wait")]
    going = sum(action.kind is DROPLET and action.verb == "delete" for action in actions)
    if not coming:
        return problems
    room = offered.account.droplet_limit - offered.droplets + going
    if len(coming) > room:
        limit = f"its limit is {offered.account.droplet_limit}, {offered.droplets} are there"
        message = f"{len(coming)} droplets are to be made, the account has room for {max(room, 0)}: {limit}"
        hint = (
            "ask for a higher limit (https://cloud.digitalocean.com/account/team), destroy other droplets, or describe"
            " fewer nodes (`gen init --template single` has one)"
        )
        problems.append(Problem(message, hint=hint))
    known = {size.slug: size for size in offered.sizes}
    for slug in dict.fromkeys(node.size for node in plan.nodes if node.name in coming):
        problems += _size_faults(slug, known.get(slug), plan.region)
    if offered.image_regions is None:
        problems.append(Problem(f"`{plan.image}` does not exist", where="image"))
    elif plan.region not in offered.image_regions:
        problems.append(Problem(f"`{plan.image}` is not in region `{plan.region}`", where="image"))
    return problems


def _address_faults(plan: Plan, offered: Availability, observed: Observed) -> list[Problem]:
    """Find that the account may have fewer reserved addresses than are described."""
    there, coming = len(observed.of(ADDRESSES)), sum(node.reserved for node in plan.nodes) - len(kept(plan, observed))
    room = max(0, offered.account.address_limit - there + len(tuple(unneeded(plan, observed))))
    if coming <= room:
        return []
    limit = f"its limit is {offered.account.address_limit}, {there} are there"
    message = f"{coming} reserved addresses are to be had, the account has room for {room}: {limit}"
    hint = "ask for a higher limit (https://cloud.digitalocean.com/account/team), or take `public` from a pool"
    return [Problem(message, hint=hint)]


def _volume_faults(actions: Sequence[Action], offered: Availability, observed: Observed) -> list[Problem]:
    """Find that the account may have fewer volumes than are described, whatever else it has."""
    limit, there = offered.account.volume_limit, len(observed.of(VOLUMES))
    coming = sum(action.kind is VOLUME and action.verb == "create" for action in actions)
    if limit is None or not coming or coming <= limit - there:
        return []
    has = f"its limit is {limit}, the cluster has {there}"
    message = f"{coming} volumes are to be made, the account has room for {max(0, limit - there)}: {has}"
    hint = "ask for a higher limit (https://cloud.digitalocean.com/account/team), or describe fewer volumes"
    return [Problem(message, hint=hint)]


def warnings(offered: Availability) -> list[str]:
    """Find what a person should know, and what stops nothing."""
    if offered.account.status in (ACTIVE, LOCKED):
        return []
    return [f"{_standing(offered.account)}; droplets can be made all the same"]


def _standing(account: Account) -> str:
    said = f": {account.message.rstrip('.')}" if account.message else ""
    return f"the account's status is `{account.status}`{said}"


def skewed(now: datetime, provider: datetime) -> list[Problem]:
    """Find a clock that is wrong: certificates and signed addresses would be from another time."""
    skew = now - provider
    if abs(skew) <= SKEW:
        return []
    direction = "ahead of" if skew > timedelta() else "behind"
    message = f"this machine's clock is {abs(skew).total_seconds():.0f} s {direction} the provider's"
    return [Problem(message, hint="set the clock; signed addresses would not work")]


def monthly(plan: Plan, sizes: Sequence[Size]) -> float:
    """Sum up what a month of all droplets costs by the provider's own list, in US dollars."""
    prices = {size.slug: size.monthly for size in sizes}
    return sum(prices.get(node.size, 0.0) for node in plan.nodes)


def _size_faults(slug: str, size: Size | None, region: str) -> list[Problem]:
    if size is None:
        return [Problem(f"`{slug}` does not exist", where="size")]
    if not size.available or region not in size.regions:
        others = ", ".join(size.regions) if size.available else ""
        hint = f"it is in {others}" if others else None
        return [Problem(f"`{slug}` can't be had in region `{region}` now", where="size", hint=hint)]
    return []
