"""Decides what a baked image of a cluster holds, what it is called, and on what size of droplet it is made; pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from generator.catalogue import DEBIAN_13, SIZES, SNAPSHOT_GB_CENTS, Size
from generator.errors import Problem
from generator.plan.decide import Plan
from generator.plan.images import ORDER_BOOK
from generator.release import baked
from generator.release.baked import Baked
from generator.release.lock_file import Artifact, Package, Release

MEMORY_MIB = 1024
"""What a droplet needs that fetches and unpacks."""
BASE = DEBIAN_13.slug
T = TypeVar("T")


@dataclass(frozen=True)
class Content:
    """Everything that is in place: files of the lock for all roles that the cluster has, and images by their digest."""

    name: Baked
    artifacts: tuple[Artifact, ...]
    packages: tuple[Package, ...]
    images: tuple[str, ...]

    @property
    def count(self) -> int:
        """Give how many things these are."""
        return len(self.artifacts) + len(self.packages) + len(self.images)


def content(plan: Plan, lock: Release) -> Content:
    """Decide what is in a cluster's image: what its nodes take from the lock, and nothing that is the user's own.

    Applications change more often than releases, and what is missing is fetched. What needs a pull secret is left out
    too: no secret gets where it could be copied from.

    Args:
        plan: what was decided.
        lock: the release as it was loaded, with the images that it names itself.
    """
    artifacts = _once(one for node in plan.nodes for one in plan.artifacts(node))
    packages = _once(one for node in plan.nodes for one in plan.packages(node))
    public = {one.pinned for one in lock.images if one.is_pinned and not (plan.pull_secret and one.name == ORDER_BOOK)}
    images = _once(one for node in plan.nodes for one in plan.images(node) if one in public)
    name = baked.named(lock.name, BASE, [*artifacts, *packages], images)
    return Content(name, artifacts, packages, images)


def faults(plan: Plan, lock: Release) -> Iterator[Problem]:
    """Find that the description names an image with other things in it than its nodes take."""
    named = baked.read(plan.image)
    if named is None:
        return
    wanted = content(plan, lock).name
    if named.release != wanted.release:
        what = f"was baked for the release `{named.release}`, the description's is `{wanted.release}`"
    elif named.digest != wanted.digest:
        what = f"holds other files or images than the nodes take now, which is `{wanted}`"
    else:
        return
    hint = f"`gen bake` makes the right one and says its number; `{BASE}` boots without, and fetches everything"
    yield Problem(f"`{named}` {what}", where="`image`", hint=hint)


def size(plan: Plan) -> Size:
    """Choose the cheapest size that is enough, with no larger disk than any node has: a snapshot never shrinks.

    Raises:
        Problem: a pool's nodes have less disk than any size that is enough.
    """
    room = min((SIZES[node.size].disk_gib for node in plan.nodes if node.size in SIZES), default=None)
    enough = [one for one in SIZES.values() if one.memory_mib >= MEMORY_MIB and (room is None or one.disk_gib <= room)]
    if not enough:
        small = next(node for node in plan.nodes if node.size in SIZES and SIZES[node.size].disk_gib == room)
        message = f"`{small.size}` has a disk of {room} GiB, no size that can bake has as little"
        raise Problem(message, where=f"pool {small.pool}", hint="choose a larger size")
    return min(enough, key=lambda one: (one.monthly, one.disk_gib))


def monthly(gigabytes: float) -> float:
    """Give what a snapshot costs in a month, in US dollars, to the cent and never nothing."""
    return max(0.01, round(gigabytes * SNAPSHOT_GB_CENTS / 100, 2))


def _once(found: Iterable[T]) -> tuple[T, ...]:
    kept: list[T] = []
    for one in found:
        if one not in kept:
            kept.append(one)
    return tuple(kept)
