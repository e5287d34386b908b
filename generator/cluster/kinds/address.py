"""The reserved addresses: chosen by the provider for a node's first droplet, and moved to each successor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from generator import waiting
from generator.cluster.addresses import kept, unneeded
from generator.cluster.fleet import listed as droplets_of
from generator.cluster.fleet import read, says
from generator.cluster.kinds.kind import Action, Case, Kind, Lookup, Removal, Work
from generator.cluster.observed import ADDRESSES, Observed
from generator.plan.decide import Plan
from generator.provider import answers
from generator.provider.digitalocean import Cloud, Collection
from generator.provider.resources import ReservedIp
from generator.provider.retry import REPEATS, Refused

COLLECTION = Collection("reserved_ips", "reserved_ip", answers.reserved_ip)
ACTIONS = "reserved_ips_actions"
BUSY = ("pending", "already")
"""What the provider says of an address that is being moved: the next look shows what came of it."""
ASSIGNED = (400, 409, 422)
"""What it may answer who releases one that a droplet has."""


def listed(cloud: Cloud) -> tuple[ReservedIp, ...]:
    """List the account's reserved addresses."""
    return tuple(sorted(cloud.list(COLLECTION), key=lambda one: one.ip))


def allowed(cloud: Cloud, *, needed: bool) -> tuple[ReservedIp, ...]:
    """List the account's reserved addresses; none where the token may not see them and nobody needs them."""
    try:
        return listed(cloud)
    except Refused as error:
        if needed or error.status not in (401, 403):
            raise
        return ()


class AddressKind(Kind[tuple[ReservedIp, ...]]):
    """One address for each node that keeps one; what neither our roster nor a droplet of ours has is never touched."""

    name = "address"
    found = ADDRESSES

    def changes_by_itself(self, plan: Plan, observed: Observed) -> bool:  # noqa: ARG002
        """Tell whether a node keeps one; what others have is none of ours."""
        return any(node.reserved for node in plan.nodes)

    def look(self, lookup: Lookup) -> tuple[ReservedIp, ...]:
        """List the account's; a token that may not has to only where a node keeps one."""
        return allowed(lookup.cloud, needed=any(node.reserved for node in lookup.plan.nodes))

    def surplus(self, case: Case) -> Iterator[Action]:
        """Find those whose nodes keep none any more."""
        for node, one in unneeded(case.plan, case.observed):
            yield self.action("delete", one.ip, f"{node} keeps no address any more", one.ip)

    def differences(self, case: Case) -> Iterator[Action]:
        """Find nodes that have none yet, or whose address is elsewhere."""
        own = kept(case.plan, case.observed)
        for node in case.plan.nodes:
            droplet = case.here.get(node.name)
            if not node.reserved or droplet is None:
                continue
            one = own.get(node.name)
            if not droplet.settled:
                yield self.action("wait", node.name, "until its droplet has its own address")
            elif one is None:
                yield self.action("create", node.name, "an address that it keeps")
            elif one.droplet != droplet.id:
                was = f"from droplet {one.droplet} " if one.droplet else ""
                yield self.action("update", node.name, f"{one.ip} comes {was}to droplet {droplet.id}", one.ip)

    def apply(self, action: Action, work: Work, observed: Observed) -> Observed:
        """Get one for a node's droplet, move it there, or give it back."""
        if action.verb == "delete":
            release(work.cloud, action.id)
            left = tuple(one for one in observed.of(ADDRESSES) if one.ip != action.id)
            return observed.having(ADDRESSES, left)
        tag = work.plan.node_tag(work.plan.node(action.name))
        droplet = max((one for one in observed.droplets if tag in one.tags), key=lambda one: one.id)
        if action.verb == "create":
            made = make(work.cloud, droplet.id, action.where)
            return observed.having(ADDRESSES, (*observed.of(ADDRESSES), made))
        answer = work.cloud.act(ACTIONS, action.id, {"type": "assign", "droplet_id": droplet.id}, action.where)
        if not (answer.status == 422 and any(word in str(answer.body.get("message")) for word in BUSY)):
            work.cloud.expect(answer, action.where)
        return observed

    def remains(self, removal: Removal) -> Sequence[ReservedIp]:
        """List those of the cluster's roster, if the operator has signed that, and those that the user names.

        One that only a droplet of ours has may be a person's: nothing but the roster says whose it is. One that
        another's droplet has is not taken, whoever names it.
        """
        holders = {one.id for one in droplets_of(removal.cloud, removal.tag)}
        roster = removal.roster_addresses()
        own = (roster or frozenset()) | removal.addresses
        found = []
        for one in allowed(removal.cloud, needed=bool(own)):
            if one.ip in own and _is_free(removal, one):
                found.append(one)
            elif one.ip in own:
                removal.strangers[one.ip] = f"droplet {one.droplet} has it, which is not of this cluster"
            elif one.droplet in holders:
                why = "no roster could be read that says whose it is" if roster is None else "no roster has it"
                removal.strangers[one.ip] = f"droplet {one.droplet} has it, and {why}"
                removal.is_sure = removal.is_sure and roster is not None
        return found

    def lines(self, remains: Sequence[ReservedIp]) -> Iterator[str]:
        """Name them."""
        yield from (f"address  {one.ip}" for one in remains)

    def remove(self, remains: Sequence[ReservedIp], removal: Removal) -> None:
        """Give them back."""
        for one in remains:
            removal.say(f"release address {one.ip}")
            release(removal.cloud, one.ip)


def _is_free(removal: Removal, one: ReservedIp) -> bool:
    """Tell whether nobody has it but a droplet of ours, or one that is gone."""
    holder = read(removal.cloud, one.droplet) if one.droplet is not None else None
    return holder is None or removal.tag in holder.tags


def release(cloud: Cloud, ip: str) -> None:
    """Give an address back, if it is still the account's.

    One that is on its way is refused for a while, and one that a droplet has may have to be taken from it first.

    Source: https://github.com/digitalocean/doctl/issues/493 and for IPv6
    https://github.com/digitalocean/terraform-provider-digitalocean/pull/1277 ("assigned FLIP cannot be released")
    """
    where = f"address {ip}"

    def delete() -> None:
        def once() -> None:
            cloud.delete(COLLECTION, ip, where)

        waiting.repeat(once, REPEATS, cloud.clock.sleep, while_=lambda error: says(error, "pending"))

    try:
        delete()
    except Refused as error:
        if error.status not in ASSIGNED:
            raise
        cloud.act(ACTIONS, ip, {"type": "unassign"}, where)
        delete()


def make(cloud: Cloud, droplet: int, where: str) -> ReservedIp:
    """Get an address for a droplet, or find the one that an unclear attempt got."""

    def find() -> ReservedIp | None:
        return next((one for one in listed(cloud) if one.droplet == droplet), None)

    body: dict[str, Any] = {"droplet_id": droplet}
    made = cloud.create(COLLECTION, body, where, find)
    # It comes to the droplet in its own time, and the answer may say that nobody has it yet.
    return made if made.droplet else replace(made, droplet=droplet)


ADDRESS = AddressKind()
