"""Finds what would stop a launch before anything is made: on this machine first, then at the provider; all at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from generator.cluster.diff import Action, Documents
from generator.documents import addons, agent, render
from generator.errors import Problem, Problems, raise_all
from generator.pki import bundle
from generator.pki.store import KeyStore
from generator.plan.decide import Plan
from generator.plan.project import Project
from generator.provider.digitalocean import Cloud
from generator.provider.resources import Account, Size
from generator.release import lock_file

SKEW = timedelta(seconds=60)


@dataclass(frozen=True)
class Launchable:
    """Everything a launch sends: reviewed documents, the archives of addons and agent, and the keys."""

    plan: Plan
    texts: Mapping[str, str]
    archive: bytes
    store: KeyStore
    agent: bytes = b""

    @property
    def documents(self) -> Documents:
        """Give the digests of what was reviewed."""
        nodes = {name: sha256(text.encode()).hexdigest() for name, text in self.texts.items()}
        return Documents(nodes, sha256(self.archive).hexdigest(), sha256(self.agent).hexdigest() if self.agent else "")


@dataclass(frozen=True)
class Market:
    """What the provider has to offer; `image_regions` is None when there is no such image."""

    account: Account
    droplets: int
    sizes: Sequence[Size]
    image_regions: Sequence[str] | None


def prepare(project: Project, *, now: datetime) -> Launchable:
    """Check what lies on this machine, and load it.

    Raises:
        Problems: what is committed is not what would be rendered, an image is not pinned, a key is missing.
    """
    problems: list[Problem] = []
    files = render.documents(project)
    plan = project.plan
    if render.difference(project.rendered_path, files):
        hint = "`gen render --check` shows the difference; `gen render` writes it, to be reviewed and committed"
        problems.append(Problem("is not what would be rendered", where=str(project.rendered_path), hint=hint))
    for image in plan.release.unpinned:
        hint = f"a launch runs nothing that is not pinned; {lock_file.PINNING}"
        problems.append(Problem(f"`{image.reference}` has no digest", where=f"release {plan.release.name}", hint=hint))
    try:
        store = KeyStore.open(project.keys_path, plan, project.inventory, now=now)
    except Problems as error:
        problems += error.problems
    raise_all(problems)
    for node in plan.nodes:
        if sha256(bundle.node_bundle(plan, node, store)).hexdigest() != node.bundle_sha256:
            problems.append(
                Problem("its keys are not those its document pins", where=node.name, hint="run `gen render`")
            )
    raise_all(problems)
    texts = {node.name: files[f"nodes/{node.name}/user-data"].decode() for node in plan.nodes}
    return Launchable(plan, texts, addons.archive(addons.manifests(plan)), store, agent.archive(agent.files()))


def look(cloud: Cloud, plan: Plan) -> tuple[Market, datetime]:
    """Ask the provider what it has to offer, and what time it is."""
    account, time = cloud.account()
    market = Market(account, cloud.droplet_count(), cloud.sizes(), cloud.image_regions(plan.image))
    return market, time


def faults(plan: Plan, actions: Sequence[Action], market: Market) -> list[Problem]:
    """Find what the provider would refuse half way."""
    problems = [
        Problem(action.why, where=f"{action.kind} {action.name}", hint=action.hint)
        for action in actions
        if action.verb == "refuse"
    ]
    if market.account.status != "active":
        problems.append(Problem(f"the account is {market.account.status}", hint="see the provider's control panel"))
    coming = [action.name for action in actions if action.kind == "droplet" and action.verb in ("create", "wait")]
    going = sum(action.kind == "droplet" and action.verb == "delete" for action in actions)
    if not coming:
        return problems
    room = market.account.droplet_limit - market.droplets + going
    if len(coming) > room:
        message = f"{len(coming)} droplets are to be made, the account has room for {max(room, 0)}"
        problems.append(Problem(message, hint="ask the provider for a higher droplet limit, or destroy some"))
    known = {size.slug: size for size in market.sizes}
    for slug in dict.fromkeys(node.size for node in plan.nodes if node.name in coming):
        problems += _size_faults(slug, known.get(slug), plan.region)
    if market.image_regions is None:
        problems.append(Problem(f"`{plan.image}` does not exist", where="image"))
    elif plan.region not in market.image_regions:
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
