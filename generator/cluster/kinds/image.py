"""The snapshot that droplets are made of, where the description names a baked one; nobody's but the account's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from generator.catalogue import DEBIAN_13, SIZES
from generator.cluster.kinds.kind import Action, Case, Kind, Lookup, Work
from generator.cluster.observed import Found, Observed
from generator.plan.decide import Plan
from generator.plan.node import Node
from generator.provider.digitalocean import Cloud
from generator.provider.resources import Snapshot
from generator.release import baked
from generator.release.baked import Baked

IMAGES: Found[tuple[Snapshot, ...]] = Found("images", ())
"""Those that bear the name in the description, and the number, where it has one."""
SNAPSHOTS = "https://cloud.digitalocean.com/images/snapshots/droplets"
"""Where the provider's panel has snapshots."""
_OTHERWISE = f"`gen bake` makes one; with `image: {DEBIAN_13.slug}` nodes boot without"


def every(cloud: Cloud) -> tuple[Snapshot, ...]:
    """List all snapshots that bear a baked image's name, the oldest first."""
    known = ((baked.read(one.name), one) for one in cloud.snapshots())
    return tuple(sorted((one for name, one in known if name and not name.number), key=lambda one: one.id))


def named(snapshots: tuple[Snapshot, ...], wanted: Baked) -> tuple[Snapshot, ...]:
    """Give those that are meant: a number leaves one of them at most."""
    return tuple(one for one in snapshots if one.name == wanted.name and wanted.number in (None, one.id))


def surplus(snapshots: tuple[Snapshot, ...], kept: Iterable[Baked]) -> tuple[Snapshot, ...]:
    """Give those that none of the kept names means."""
    meant = {one.id for wanted in kept for one in named(snapshots, wanted)}
    return tuple(one for one in snapshots if one.id not in meant)


class ImageKind(Kind[tuple[Snapshot, ...]]):
    """One snapshot, made by `gen bake`; a launch takes it, and neither makes nor removes any."""

    name = "image"
    found = IMAGES

    def look(self, lookup: Lookup) -> tuple[Snapshot, ...]:
        """List the snapshots that the description may mean; nothing is asked where it means none."""
        wanted = baked.read(lookup.plan.image)
        return named(every(lookup.cloud), wanted) if wanted else ()

    def refusals(self, case: Case) -> Iterator[Action]:
        """Find that there is no such snapshot for the nodes, or more than one.

        Also while every node has its droplet: who replaces one would find out when it is gone.
        """
        wanted = baked.read(case.plan.image)
        if wanted is None:
            return
        found = case.observed.of(IMAGES)
        if not found:
            what = "no snapshot of the account has this name" + (" and this number" if wanted.number else "")
            yield self.action("refuse", str(wanted), what, hint=_OTHERWISE)
        elif len(found) > 1:
            numbers = ", ".join(f"`{wanted.at(one.id)}`" for one in found)
            hint = f"name one of them with its number ({numbers}), or delete the others: {SNAPSHOTS}"
            yield self.action("refuse", str(wanted), f"{len(found)} snapshots have this name", hint=hint)
        else:
            yield from self._unfit(case.plan, wanted, found[0])

    def _unfit(self, plan: Plan, wanted: Baked, one: Snapshot) -> Iterator[Action]:
        if not one.is_ready:
            yield self.action("refuse", str(wanted), "is not whole yet", one.id, "launch again in some minutes")
        if plan.region not in one.regions:
            where = ", ".join(one.regions) or "no region"
            hint = f"transfer it ({SNAPSHOTS}, More), or: {_OTHERWISE}"
            yield self.action("refuse", str(wanted), f"is in {where}, not in {plan.region}", one.id, hint)
        for size in dict.fromkeys(node.size for node in plan.nodes if node.size in SIZES):
            if SIZES[size].disk_gib < one.min_disk:
                why = f"needs a disk of {one.min_disk} GiB, `{size}` has {SIZES[size].disk_gib}"
                yield self.action("refuse", str(wanted), why, one.id, f"{_OTHERWISE}, or choose a larger size")

    def apply(self, action: Action, work: Work, observed: Observed) -> Observed:  # noqa: ARG002
        """Do nothing: there is never anything to do."""
        return observed

    def order(self, node: Node, work: Work, observed: Observed) -> Mapping[str, Any]:  # noqa: ARG002
        """Have the droplet made of it, by its number: a name is no key of the provider's."""
        found = observed.of(IMAGES)
        return {"image": found[0].id} if found else {}


IMAGE = ImageKind()
