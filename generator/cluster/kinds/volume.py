"""The volumes: disks that outlive droplets, found again by name and by the cluster's id in their description."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from generator import waiting
from generator.catalogue import VOLUME_GIB_CENTS
from generator.cluster.kinds.kind import Action, Case, Kind, Lookup, Removal, Work
from generator.cluster.observed import VOLUMES, Observed
from generator.errors import Problem
from generator.plan import names
from generator.plan.decide import Plan
from generator.plan.node import Node
from generator.plan.volumes import Volume as Planned
from generator.provider import answers
from generator.provider.digitalocean import Cloud, Collection
from generator.provider.resources import Volume

COLLECTION = Collection("volumes", "volume", answers.volume)
ACTIONS = "volume_actions"
LET_GO = 60 * (3.0,)
"""Three minutes: a volume counts as attached for a while after its droplet is gone."""
BUSY = ("pending", "already")
"""What the provider says of a volume that is doing something, or has done it: the next look shows what came of it."""
ATTACHED = (409, 422)
"""What the provider answers who deletes a volume that a droplet has, or had a moment ago."""
LATE = timedelta(minutes=3)
"""A younger droplet's volumes come with it."""


def listed(cloud: Cloud) -> tuple[Volume, ...]:
    """List the account's volumes."""
    return tuple(sorted(cloud.list(COLLECTION), key=lambda one: one.name))


def planned(plan: Plan) -> Mapping[str, tuple[Node, Planned]]:
    """Give the planned volumes by the names that they have in the account."""
    return {volume.full_name: (node, volume) for node in plan.nodes for volume in node.volumes}


def monthly(gib: int) -> str:
    """Show what a volume costs."""
    return f"${gib * VOLUME_GIB_CENTS / 100:g} a month"


class VolumeKind(Kind[tuple[Volume, ...]]):
    """One volume for each that is planned of a node; none is ever deleted, but by a `destroy` that is told to."""

    name = "volume"
    found = VOLUMES

    def changes_by_itself(self, plan: Plan, observed: Observed) -> bool:
        """Tell whether there are any, or will be."""
        return bool(planned(plan) or observed.of(VOLUMES))

    def look(self, lookup: Lookup) -> tuple[Volume, ...]:
        """List the cluster's volumes, and whatever has a name that is planned."""
        wanted, own = planned(lookup.plan), lookup.plan.cluster_id
        return tuple(
            one for one in listed(lookup.cloud) if one.name in wanted or names.volume_owner(one.description) == own
        )

    def refusals(self, case: Case) -> Iterator[Action]:
        """Find volumes that can't be what is planned, and are left as they are."""
        wanted = planned(case.plan)
        for one in case.observed.of(VOLUMES):
            if one.name not in wanted:
                continue
            node, volume = wanted[one.name]
            if names.volume_owner(one.description) != case.plan.cluster_id:
                whose = f"its description is {one.description!r}" if one.description else "it has no description"
                hint = "delete it if nobody needs it, or give the volume another name"
                yield self.action("refuse", one.name, f"is not this cluster's: {whose}", one.id, hint)
            elif one.region != case.plan.region:
                hint = f"`region: {one.region}`, or delete it if nobody needs its data"
                yield self.action("refuse", one.name, f"is in {one.region}, not in {case.plan.region}", one.id, hint)
            elif (has := names.volume_filesystem(one.description)) != volume.filesystem:
                why = f"has {has}, and {volume.filesystem} is described: what is there is never formatted"
                hint = f"write `filesystem: {has}` for the pool {node.pool}, or give the volume another name"
                yield self.action("refuse", one.name, why, one.id, hint)
            elif one.size > volume.size:
                why = f"has {one.size} GiB, and {volume.size} are described: a volume never shrinks"
                yield self.action("refuse", one.name, why, one.id, f"write `size: {one.size}` for the pool {node.pool}")

    def differences(self, case: Case) -> Iterator[Action]:
        """Find volumes that are missing, too small, or attached to nothing while their node is there."""
        wanted = planned(case.plan)
        present = {one.name: one for one in case.observed.of(VOLUMES)}
        for name, (node, volume) in wanted.items():
            one, droplet = present.get(name), case.here.get(node.name)
            if one is None:
                yield self.action("create", name, f"{volume.size} GiB, {monthly(volume.size)}")
            elif one.size < volume.size:
                yield self.action("update", name, f"grows from {one.size} to {volume.size} GiB", one.id)
            elif one.droplet is None and droplet is not None and _awaits_it(case, node):
                yield self.action("update", name, f"is attached to {node.name} again", one.id)
        for name, one in present.items():
            if name not in wanted:
                why = f"is no longer described, and stays with its data; {monthly(one.size)}"
                yield self.action("keep", name, why, one.id)

    def apply(self, action: Action, work: Work, observed: Observed) -> Observed:
        """Make one, or let one grow or come back to its node."""
        node, volume = planned(work.plan)[action.name]
        if action.verb == "create":
            made = _make(work, node, volume)
            return observed.having(VOLUMES, (*observed.of(VOLUMES), made))
        one = next(one for one in observed.of(VOLUMES) if one.id == action.id)
        body: dict[str, Any] = {"type": "resize", "size_gigabytes": volume.size, "region": one.region}
        if one.size >= volume.size:
            droplet = next(each for each in observed.droplets if work.plan.node_tag(node) in each.tags)
            body = {"type": "attach", "droplet_id": droplet.id, "region": one.region}
        answer = work.cloud.act(ACTIONS, one.id, body, action.where)
        if not (answer.status == 422 and any(word in str(answer.body.get("message")) for word in BUSY)):
            work.cloud.expect(answer, action.where)
        return observed

    def order(self, node: Node, work: Work, observed: Observed) -> Mapping[str, Any]:  # noqa: ARG002
        """Let a node's droplet come with its volumes."""
        own = {volume.full_name for volume in node.volumes}
        identifiers = [one.id for one in observed.of(VOLUMES) if one.name in own]
        return {"volumes": identifiers} if identifiers else {}

    def remains(self, removal: Removal) -> Sequence[Volume]:
        """List the volumes of the cluster's name, of the id that the user or the VPC tells where one does."""
        known = {removal.cluster_id, removal.owner.cluster_id if removal.owner else None} - {None}
        return [
            one
            for one in listed(removal.cloud)
            if names.is_volume_of(removal.cluster, one.name, one.description)
            and (not known or names.volume_owner(one.description) in known)
        ]

    def stays(self, remains: Sequence[Any], removal: Removal) -> bool:  # noqa: ARG002
        """Tell that they stay, unless told otherwise."""
        return not removal.volumes

    def lines(self, remains: Sequence[Volume]) -> Iterator[str]:
        """Name them with their sizes and cost."""
        yield from (f"volume   {one.name}, {one.size} GiB, {monthly(one.size)}" for one in remains)

    def remove(self, remains: Sequence[Volume], removal: Removal) -> None:
        """Delete them, if that is wished; the droplets that had them are gone by then."""
        for one in () if self.stays(remains, removal) else remains:
            removal.say(f"delete volume {one.name}")
            if not waiting.until(lambda one=one: erase(removal.cloud, one), LET_GO, removal.clock.sleep):  # type: ignore[misc]
                message = "is attached still, three minutes after its droplet is gone"
                raise Problem(message, where=f"volume {one.name}", hint="destroy again, it goes on")


def _make(work: Work, node: Node, volume: Planned) -> Volume:
    """Make a volume, or find the one that an unclear attempt made."""
    plan = work.plan
    body = {
        "name": volume.full_name,
        "description": names.volume_description(plan.cluster_id, node.name, volume.name, volume.filesystem),
        "region": plan.region,
        "size_gigabytes": volume.size,
        "tags": [plan.cluster_tag],
    }

    def find() -> Volume | None:
        return next((one for one in listed(work.cloud) if one.name == volume.full_name), None)

    return work.cloud.create(COLLECTION, body, f"volume {volume.full_name}", find)


def erase(cloud: Cloud, volume: Volume) -> bool | None:
    """Delete a volume, if it is still there; None while it counts as attached."""
    where = f"volume {volume.name}"
    answer = cloud.try_to_delete(COLLECTION, volume.id, where)
    if answer.status in ATTACHED:
        return None
    cloud.expect(answer, where)
    return True


def _awaits_it(case: Case, node: Node) -> bool:
    """Tell whether a node's droplet has the document that is described now, and awaits its volumes for long."""
    droplet = case.here[node.name]
    is_late = droplet.status == "active" and case.observed.time - droplet.created > LATE
    return is_late and case.plan.document_tag(case.documents.nodes[node.name]) in droplet.tags


VOLUME = VolumeKind()
