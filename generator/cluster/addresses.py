"""Tells which reserved address is which node's: by the roster, or by the node's own droplet; pure.

The provider chooses an address and gives it neither name nor tag, so nothing else says whose it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from generator.cluster.matching import node_of, placed
from generator.cluster.observed import ADDRESSES, Observed
from generator.plan.decide import Plan
from generator.provider.resources import ReservedIp


def kept(plan: Plan, observed: Observed) -> Mapping[str, ReservedIp]:
    """Give the address of each planned node that keeps one, as far as it has one."""
    known = {one.ip: one for one in observed.of(ADDRESSES)}
    listed = {one.name: str(one.public) for one in observed.roster.nodes if one.public} if observed.roster else {}
    held = {one.droplet: one for one in known.values() if one.droplet is not None and one.ip not in listed.values()}
    here, found = placed(plan, observed), {}
    for node in plan.nodes:
        if not node.reserved:
            continue
        droplet = here.get(node.name)
        one = known.get(listed.get(node.name, "")) or (held.get(droplet.id) if droplet else None)
        if one is not None:
            found[node.name] = one
    return found


def unneeded(plan: Plan, observed: Observed) -> Iterator[tuple[str, ReservedIp]]:
    """Give the addresses of the roster whose nodes keep none any more, or are gone with their droplets.

    One that somebody has given to another machine meanwhile is that one's.
    """
    known = {one.ip: one for one in observed.of(ADDRESSES)}
    keeping = {node.name for node in plan.nodes if node.reserved}
    own = {None} | {droplet.id for droplet in observed.droplets}
    there = {node_of(plan, droplet) for droplet in observed.droplets} - {node.name for node in plan.nodes}
    for entry in observed.roster.nodes if observed.roster else ():
        one = known.get(str(entry.public)) if entry.public else None
        if one is not None and one.droplet in own and entry.name not in keeping and entry.name not in there:
            yield entry.name, one


def public(plan: Plan, observed: Observed) -> Mapping[str, str]:
    """Give the address at which people reach each node: its droplet's, or the one that it keeps once that is there."""
    here, own = placed(plan, observed), kept(plan, observed)
    found = {name: droplet.public for name, droplet in here.items() if droplet.public}
    return found | {name: one.ip for name, one in own.items() if name in here and one.droplet == here[name].id}
