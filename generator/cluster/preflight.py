"""Finds what the provider would refuse half way, before anything is made; all at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from generator.cluster.kinds.droplet import DROPLET
from generator.cluster.kinds.kind import Action
from generator.errors import Problem
from generator.plan.decide import Plan
from generator.provider.digitalocean import Cloud
from generator.provider.resources import Account, Size

SKEW = timedelta(seconds=60)


@dataclass(frozen=True)
class Availability:
    """What the provider has to offer; `image_regions` is None when there is no such image."""

    account: Account
    droplets: int
    sizes: Sequence[Size]
    image_regions: Sequence[str] | None


def look(cloud: Cloud, plan: Plan) -> tuple[Availability, datetime]:
    """Ask the provider what it has to offer, and what time it is."""
    account, time = cloud.account()
    offered = Availability(account, cloud.droplet_count(), cloud.sizes(), cloud.image_regions(plan.image))
    return offered, time


def faults(plan: Plan, actions: Sequence[Action], offered: Availability) -> list[Problem]:
    """Find what the provider would refuse half way."""
    problems = [
        Problem(action.why, where=action.where, hint=action.hint) for action in actions if action.verb == "refuse"
    ]
    if offered.account.status != "active":
        problems.append(Problem(f"the account is {offered.account.status}", hint="see the provider's control panel"))
    coming = [action.name for action in actions if action.kind is DROPLET and action.verb in ("create", "wait")]
    going = sum(action.kind is DROPLET and action.verb == "delete" for action in actions)
    if not coming:
        return problems
    room = offered.account.droplet_limit - offered.droplets + going
    if len(coming) > room:
        message = f"{len(coming)} droplets are to be made, the account has room for {max(room, 0)}"
        problems.append(Problem(message, hint="ask the provider for a higher droplet limit, or destroy some"))
    known = {size.slug: size for size in offered.sizes}
    for slug in dict.fromkeys(node.size for node in plan.nodes if node.name in coming):
        problems += _size_faults(slug, known.get(slug), plan.region)
    if offered.image_regions is None:
        problems.append(Problem(f"`{plan.image}` does not exist", where="image"))
    elif plan.region not in offered.image_regions:
        problems.append(Problem(f"`{plan.image}` is not in region `{plan.region}`", where="image"))
    return problems


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
