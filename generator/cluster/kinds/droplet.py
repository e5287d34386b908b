"""The droplets: one for each node, born with its document, never changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from generator import waiting
from generator.cluster.drift import drifted
from generator.cluster.fleet import clear, erase, listed, make, read
from generator.cluster.kinds import bundle
from generator.cluster.kinds.kind import Action, Case, Kind, Lookup, Removal, Work
from generator.cluster.launch_part import LaunchFacts, Resealed, multipart
from generator.cluster.matching import (
    existing,
    is_overdue,
    is_settled_by_others,
    node_of,
    ready,
    reported,
)
from generator.cluster.membership import machines, membership
from generator.cluster.memory import READ_LAG
from generator.cluster.observed import DROPLETS, VOLUMES, VPCS, Observed
from generator.documents.roster import Roster
from generator.errors import Problem
from generator.plan import names
from generator.plan.decide import Plan
from generator.plan.node import Node
from generator.provider.resources import Droplet, Json
from generator.provider.retry import LOOKS

CONSOLE = "https://cloud.digitalocean.com/droplets/{}"
"""Where the provider's panel has a droplet, by its number."""
SCREEN = CONSOLE + "/access"
"""Where the panel opens a droplet's screen and keyboard, its recovery console.
Source: https://docs.digitalocean.com/products/droplets/how-to/recovery/recovery-console/"""
IN_FLIGHT = timedelta(minutes=3)
"""A bundle younger than this may belong to a droplet that lists don't show yet."""
MARGIN = timedelta(minutes=2)
"""By how much clocks may differ: a droplet that was made earlier than its order is another one."""
IN_FLIGHT_AT_REMOVAL = timedelta(minutes=1)
ABANDONED = timedelta(minutes=10)
"""A bundle older than this, of a node that has no droplet, is nobody's; a younger one is left to its droplet."""
FEW = 25
"""So many droplets are read one by one when they are looked at first."""
END_POLLS = (*6 * (1.0,), *18 * (3.0,))
TRIES = 3
STILL = ("off", "archive")
"""Statuses that a droplet doesn't leave by itself. Source: https://docs.digitalocean.com/reference/api/ (droplet)"""


class DropletKind(Kind[tuple[Droplet, ...]]):
    """One droplet for each planned node; of control-plane nodes one joins at a time."""

    name = "droplet"
    found = DROPLETS

    def changes_by_itself(self, plan: Plan, observed: Observed) -> bool:  # noqa: ARG002
        """Tell that it does."""
        return True

    def look(self, lookup: Lookup) -> tuple[Droplet, ...]:
        """List them as far as lists can be believed: at first a few are each read too, since lists show the dead.

        Of many that would take minutes of the account's requests; what is dead is missed at a later look, and a cluster
        that looks ready at once is looked at twice.
        """
        cloud, now = lookup.cloud, lookup.time
        seen = listed(cloud, lookup.plan.cluster_tag)
        if lookup.is_first and len(seen) <= FEW:
            seen = tuple(one for one in seen if read(cloud, one.id) is not None or now - one.created < READ_LAG)
        return lookup.memory.merge(seen, now, lambda number: read(cloud, number))

    def refusals(self, case: Case) -> Iterator[Action]:
        """Find that etcd, which lives, has lost its quorum."""
        if not existing(case.plan, case.observed):
            yield from self._stuck(case)
            return
        lost = self._lost_quorum(case)
        if lost is not None:
            yield lost
            return
        yield from self._unsettled(case)
        yield from self._stuck(case)

    def _lost_quorum(self, case: Case) -> Action | None:
        """Find that too few of etcd's members have a machine; who is a member is etcd's word, not the description's."""
        plan = case.plan
        members = membership(plan, case.observed)
        there = alive(case, members.voters)
        if len(there) >= members.quorum:
            return None
        missing = ", ".join(sorted(members.voters - there))
        if not there:
            why = "missing, and so is every member of etcd: its data is gone, and a second cluster is never formed"
            hint = (
                f"`gen restore` brings it back from a snapshot; without one `gen destroy {plan.name}`, then launch anew"
            )
            return self.action("refuse", missing, why, hint=hint)
        left, count = ", ".join(sorted(there)), len(members.voters)
        why = f"missing, so etcd has no quorum: of {count} members only {left} can be there, and nobody can join"
        hint = (
            f"the data is on {left} still: keep it; a second cluster is never formed beside it, and `gen restore` gives"
            " it up for a snapshot's"
        )
        if not members.is_told:
            hint = f"who the members are is told by the roster alone, no API server answers; {hint}"
        return self.action("refuse", missing, why, hint=hint)

    def _stuck(self, case: Case) -> Iterator[Action]:
        """Find droplets that don't come back by themselves, however long one waits."""
        own = {vpc.id for vpc in case.observed.of(VPCS) if vpc.name == names.object_name(case.plan.name)}
        for node in case.plan.nodes:
            droplet = case.here.get(node.name)
            if droplet is None:
                continue
            # In a living cluster others may need it: who replaces asks them first.
            again = (
                f"`gen replace {node.name}` recreates it"
                if existing(case.plan, case.observed)
                else f"destroy droplet {droplet.id} and launch again: the node comes back as it was"
            )
            if droplet.status == "off":
                hint = f"switch it on ({CONSOLE.format(droplet.id)}, Power), or {again}"
                yield self.action("refuse", node.name, "is switched off, and stays so by itself", droplet.id, hint)
            elif droplet.status == "archive":
                yield self.action("refuse", node.name, "is archived", droplet.id, again)
            elif droplet.region != case.plan.region:
                why = f"is in {droplet.region}, not in {case.plan.region}"
                yield self.action("refuse", node.name, why, droplet.id, again)
            elif own and droplet.vpc is not None and droplet.vpc not in own:
                yield self.action("refuse", node.name, "is in another VPC than the cluster's", droplet.id, again)

    def _unsettled(self, case: Case) -> Iterator[Action]:
        """Find droplets that look as if they never came up, while nobody but the bucket says so."""
        for node in case.plan.nodes:
            droplet = case.here.get(node.name)
            if droplet and droplet.status not in STILL and is_overdue(node, droplet, case.observed):
                why = "looks as if it never came up, but no API server answers that could say so; it is not deleted"
                hint = (
                    "launch again once an API server answers; "
                    f"`gen launch --give-up {node.name}` recreates it on your word alone"
                )
                yield self.action("refuse", node.name, why, droplet.id, hint)

    def surplus(self, case: Case) -> Iterator[Action]:
        """Find second ones of a node, those that never come up, and those that are nobody's."""
        kept = {droplet.id for droplet in case.here.values()}
        planned = {node.name for node in case.plan.nodes}
        for droplet in sorted(case.observed.droplets, key=lambda one: one.id):
            node = node_of(case.plan, droplet)
            if node is None:
                yield self.action("keep", droplet.name, "has the cluster's tag but is no node", droplet.id)
            elif node not in planned:
                yield self.action("keep", node, "is no longer planned; `gen rollout` drains and removes it", droplet.id)
            elif node in case.here and droplet.id not in kept and not self._is_second(node, case):
                why = f"until it is known which of its droplets serves, {droplet.id} or {case.here[node].id}"
                yield self.action("wait", droplet.name, why, droplet.id)
            elif droplet.id not in kept:
                why = f"{droplet.id}, " + (
                    "a second one of the node" if node in case.here else "can't come up any more"
                )
                yield self.action("delete", droplet.name, why, droplet.id)

    @staticmethod
    def _is_second(name: str, case: Case) -> bool:
        """Tell whether it is known which of a node's droplets is to stay."""
        node, droplet = case.plan.node(name), case.here[name]
        return reported(node, droplet, case.observed, "secrets") or is_settled_by_others(node, case.observed)

    def differences(self, case: Case) -> Iterator[Action]:
        """Find nodes without a droplet, and droplets that are other than planned."""
        joining = _joining(case)
        for one in drifted(case.plan, case.documents, case.observed):
            if one.cause != "unplanned":
                yield self.action("keep", one.node, f"{one.why}; `gen rollout` replaces it", one.droplet)
        for node in case.plan.nodes:
            if node.name in case.here:
                continue
            held = [one for one in case.observed.of(VOLUMES) if one.droplet and one.name in node.volume_names]
            if held:
                why = ", ".join(f"until volume {one.name} has left droplet {one.droplet}" for one in held)
                yield self.action("wait", node.name, why)
            elif node.is_control_plane and joining:
                yield self.action("wait", node.name, f"until {joining[0]} has joined etcd: one at a time")
            else:
                yield self.action("create", node.name, f"{node.size} in {case.plan.region}")
                if node.is_control_plane and existing(case.plan, case.observed):
                    joining.append(node.name)

    def apply(self, action: Action, work: Work, observed: Observed) -> Observed:
        """Make a node's droplet, or delete one and wait until it is gone."""
        if action.verb == "create":
            return _create(work.plan.node(action.name), work, observed)
        droplet = next(one for one in observed.droplets if str(one.id) == action.id)
        end(droplet, work)
        return observed.having(DROPLETS, tuple(one for one in observed.droplets if one != droplet))

    def remains(self, removal: Removal) -> Sequence[Droplet]:
        """List the droplets with the cluster's tag."""
        return listed(removal.cloud, removal.tag)

    def lines(self, remains: Sequence[Droplet]) -> Iterator[str]:
        """Name them with their addresses."""
        yield from (f"droplet  {one.name} ({one.id}), {one.public or 'no address yet'}" for one in remains)

    def remove(self, remains: Sequence[Droplet], removal: Removal) -> None:  # noqa: ARG002
        """Delete droplets until none is listed, and each that was is really gone.

        A bundle that was put a moment ago, or can't be seen, may belong to a droplet that lists don't show yet.
        """
        quiet = len(LOOKS) if removal.trouble or _may_be_in_flight(removal) else 1
        if not clear(removal.cloud, removal.tag, removal.say, quiet, removal.keep_lock):
            raise Problem("can't be deleted", where=f"droplets tagged {removal.tag}", hint="destroy again, it goes on")


def alive(case: Case, voters: frozenset[str]) -> frozenset[str]:
    """Tell which members have a machine that may be up: of planned nodes none that is lost."""
    planned = {node.name for node in case.plan.nodes}
    others = machines(case.plan, case.observed, voters - planned)
    return others | {name for name in voters & planned if name in case.here}


def _joining(case: Case) -> list[str]:
    """Name the control-plane nodes that are not members yet of an etcd that lives."""
    if not existing(case.plan, case.observed):
        return []
    present = [(node, case.here[node.name]) for node in case.plan.control_planes if node.name in case.here]
    return [
        node.name
        for node, droplet in present
        if not reported(node, droplet, case.observed, "etcd") and not ready(node, droplet, case.observed)
    ]


def _create(node: Node, work: Work, observed: Observed) -> Observed:
    tag = work.plan.node_tag(node)
    gone = {one.id for one in observed.droplets if tag in one.tags} | work.memory.removed.keys()
    droplet = _in_flight(node, work, observed, gone)
    if droplet is None:
        work.tries[node.name] = work.tries.get(node.name, 0) + 1
        if work.tries[node.name] > TRIES:
            message = f"{TRIES} droplets were made for it in one launch, none came up"
            raise Problem(message, where=node.name, hint="see its last report above; launch again later")
        for one in observed.bundles:
            if one.node == node.name and observed.time - one.modified > ABANDONED:
                work.spaces.delete(one.key)
        work.spaces.delete(names.status_key(work.plan.name, node.name))
        since = work.clock.now() - MARGIN
        droplet = make(work.cloud, _order(node, work, observed), tag, gone, since)
    work.memory.made[droplet.id] = droplet
    return observed.without_report(node.name).having(DROPLETS, (*observed.droplets, droplet))


def _in_flight(node: Node, work: Work, observed: Observed, gone: set[int]) -> Droplet | None:
    """Look for a droplet that an interrupted launch may have made a moment ago."""
    young = [one for one in observed.bundles if one.node == node.name and observed.time - one.modified < IN_FLIGHT]

    since = min((one.modified for one in young), default=observed.time) - MARGIN

    def look() -> Droplet | None:
        there = listed(work.cloud, work.plan.node_tag(node))
        return next((one for one in there if one.id not in gone and one.created >= since), None)

    return waiting.until(look, LOOKS, work.clock.sleep) if young else None


def _order(node: Node, work: Work, observed: Observed) -> Json:
    """Write the request that makes a node's droplet; each kind that the droplet is made with adds its part."""
    plan, roster = work.plan, observed.roster
    if roster is None:
        raise ValueError("a droplet needs a roster")
    sealed = bundle.seal(node, work)
    facts = LaunchFacts(
        node=node.name,
        bundle_url=sealed.url,
        bundle_key=sealed.key,
        roster_url=work.spaces.url(names.roster_key(plan.public_prefix)),
        addons_url=work.spaces.url(f"{plan.public_prefix}/"),
        status_url=work.spaces.presign_put(names.status_key(plan.name, node.name), work.lifetime),
        generation=roster.generation,
        expires=sealed.expires,
        restore=_restored(node, work, roster),
    )
    order = {
        "name": node.name,
        "region": plan.region,
        "size": node.size,
        "image": plan.image,
        "user_data": multipart(work.launchable.texts[node.name], facts),
        "ipv6": False,
        "monitoring": False,
        "backups": False,
        "with_droplet_agent": False,
    }
    for kind in work.kinds:
        order |= kind.order(node, work, observed)
    return order


def _restored(node: Node, work: Work, roster: Roster) -> Resealed | None:
    """Give the snapshot that a node begins with: while etcd is being restored, the first of the control plane."""
    if roster.etcd.state != "restoring" or node != work.plan.control_planes[0]:
        return None
    if work.restore is None:
        message = "etcd is being restored, and begins on this node"
        raise Problem(message, where=node.name, hint="`gen restore` goes on")
    return work.restore


def end(droplet: Droplet, work: Work) -> None:
    """Delete a droplet and wait until it is gone: two machines of one identity must never run side by side.

    Raises:
        Problem: it is still there a minute later.
    """
    erase(work.cloud, droplet)
    work.memory.removed[droplet.id] = work.clock.now()

    def is_gone() -> bool | None:
        return True if read(work.cloud, droplet.id) is None else None

    if not waiting.until(is_gone, END_POLLS, work.clock.sleep):
        raise Problem("is not gone a minute after its deletion", where=f"droplet {droplet.name}", hint="launch again")


def _may_be_in_flight(removal: Removal) -> bool:
    """Tell whether a droplet may have been ordered a moment ago."""
    bundles = [one for one in removal.objects or () if names.bundle_node(removal.cluster, one.key)]
    newest: datetime | None = max((one.modified for one in bundles), default=None)
    return newest is not None and removal.clock.now() - newest < IN_FLIGHT_AT_REMOVAL


DROPLET = DropletKind()
