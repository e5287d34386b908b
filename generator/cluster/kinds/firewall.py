"""The firewall before every droplet with the cluster's tag."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from generator import waiting
from generator.cluster.kinds.kind import Action, Case, Kind, Lookup, Removal, Work
from generator.cluster.observed import Found, Observed
from generator.errors import Problem
from generator.plan import names, ports
from generator.plan.decide import Plan
from generator.provider import answers, resources
from generator.provider.digitalocean import Cloud, Collection
from generator.provider.resources import Firewall, Rule, rules

COLLECTION = Collection("firewalls", "firewall", answers.firewall)
FIREWALLS: Found[tuple[Firewall, ...]] = Found("firewalls", ())
ANYWHERE = ("0.0.0.0/0", "::/0")
POLLS = 40 * (3.0,)


def inbound(plan: Plan) -> tuple[Rule, ...]:
    """List what may reach a droplet; the provider drops everything else, inside the VPC too."""
    people = tuple(sorted(str(network) for network in plan.api_access))
    sources: tuple[ports.Source, ...] = ("operators", "debuggers") if plan.debug else ("operators",)
    return rules(
        (
            *(
                Rule(port.protocol, str(port.number), addresses=people)
                for source in sources
                for port in ports.reached_by(source, plan.datapath)
            ),
            *(
                Rule(port.protocol, str(port.number), addresses=ANYWHERE)
                for port in ports.reached_by("anyone", plan.datapath)
            ),
            *(
                Rule(port.protocol, str(port.number), tags=(plan.cluster_tag,))
                for port in ports.reached_by("vpc", plan.datapath)
            ),
            Rule("icmp", "0", tags=(plan.cluster_tag,)),
            *(_planned(plan) if plan.datapath == "vpc" else ()),
        )
    )


def _planned(plan: Plan) -> Iterator[Rule]:
    """Let nodes and pods through by their planned addresses: a tag stands for those that the provider gave alone.

    Which ports they reach is the matter of the node's own packet filter, and what pods serve is nobody's plan.
    """
    planned = (str(plan.node_cidr), str(plan.pod_cidr))
    yield from (Rule(protocol, "0", addresses=planned) for protocol in ("tcp", "udp", "icmp"))


def outbound() -> tuple[Rule, ...]:
    """List what a droplet may reach: everything, which has to be said."""
    return rules(Rule(protocol, "0", addresses=ANYWHERE) for protocol in ("tcp", "udp", "icmp"))


def described(observed: Observed, plan: Plan) -> str:
    """Say in one line what the firewall lets through, as it was found."""
    name = names.object_name(plan.name)
    found = next((one for one in observed.of(FIREWALLS) if one.name == name), None)
    if found is None:
        return "there is no firewall of the cluster's"
    outward = "everything out" if rules(found.outbound) == outbound() else f"{len(found.outbound)} rules out"
    inward = ", ".join(
        f"{one.protocol} {one.ports} from {', '.join((*one.addresses, *one.tags))}" for one in rules(found.inbound)
    )
    return f"the firewall lets {outward}, and in {inward or 'nothing'}"


def listed(cloud: Cloud, name: str) -> tuple[Firewall, ...]:
    """List the firewalls of that name."""
    return tuple(sorted((one for one in cloud.list(COLLECTION) if one.name == name), key=lambda one: one.id))


def make(cloud: Cloud, name: str, tag: str, inbound: Sequence[Rule], outbound: Sequence[Rule]) -> Firewall:
    """Make a firewall for all droplets with the tag, or find the one that an unclear attempt made."""
    body = resources.firewall_body(name, tag, inbound, outbound)
    return cloud.create(COLLECTION, body, f"firewall {name}", lambda: next(iter(listed(cloud, name)), None))


def change(cloud: Cloud, firewall: Firewall, tag: str, inbound: Sequence[Rule], outbound: Sequence[Rule]) -> None:
    """Replace everything the firewall says."""
    body = resources.firewall_body(firewall.name, tag, inbound, outbound)
    cloud.update(COLLECTION, firewall.id, body, f"firewall {firewall.name}")


def erase(cloud: Cloud, firewall: Firewall) -> None:
    """Delete a firewall, if it is still there."""
    cloud.delete(COLLECTION, firewall.id, f"firewall {firewall.name}")


class FirewallKind(Kind[tuple[Firewall, ...]]):
    """One firewall, with the planned rules."""

    name = "firewall"
    found = FIREWALLS

    def look(self, lookup: Lookup) -> tuple[Firewall, ...]:
        """List the firewalls of the cluster's name."""
        return listed(lookup.cloud, names.object_name(lookup.plan.name))

    def refusals(self, case: Case) -> Iterator[Action]:
        """Find one that stands before others' droplets."""
        for firewall in case.observed.of(FIREWALLS):
            if firewall.tags and case.plan.cluster_tag not in firewall.tags:
                why = f"has this cluster's name, but stands before {', '.join(firewall.tags)}"
                yield self.action("refuse", firewall.name, why, firewall.id, "rename or delete it")

    def surplus(self, case: Case) -> Iterator[Action]:
        """Find all but the first."""
        for firewall in case.observed.of(FIREWALLS)[1:]:
            yield self.action("delete", firewall.name, "a second one", firewall.id)

    def differences(self, case: Case) -> Iterator[Action]:
        """Find that there is none, or that it says something else than planned."""
        plan, present = case.plan, case.observed.of(FIREWALLS)
        if not present:
            yield self.action("create", names.object_name(plan.name))
            return
        firewall = present[0]
        if (firewall.inbound, firewall.outbound, firewall.tags) != (inbound(plan), outbound(), (plan.cluster_tag,)):
            yield self.action("update", firewall.name, "its rules are not the planned ones", firewall.id)

    def apply(self, action: Action, work: Work, observed: Observed) -> Observed:
        """Make or change it and wait until it is in force, or delete a second one."""
        present = observed.of(FIREWALLS)
        if action.verb == "delete":
            gone = next(one for one in present if one.id == action.id)
            erase(work.cloud, gone)
            return observed.having(FIREWALLS, tuple(one for one in present if one != gone))
        planned = work.plan.cluster_tag, inbound(work.plan), outbound()
        if action.verb == "create":
            make(work.cloud, action.name, *planned)
        else:
            change(work.cloud, present[0], *planned)

        def in_force() -> tuple[Firewall, ...] | None:
            seen = listed(work.cloud, action.name)
            return seen if seen and seen[0].settled else None

        seen = waiting.until(in_force, POLLS, work.clock.sleep)
        if seen is None:
            raise Problem("is not in force after two minutes", where=action.where, hint="launch again")
        # The provider may write a rule in another form than it was given; that is no reason to insist.
        taken = replace(seen[0], inbound=planned[1], outbound=planned[2], tags=(planned[0],))
        return observed.having(FIREWALLS, (taken, *seen[1:]))

    def remains(self, removal: Removal) -> Sequence[Firewall]:
        """List those of the cluster's name that stand before nobody else's droplets."""
        return [one for one in listed(removal.cloud, removal.name) if removal.tag in one.tags or not one.tags]

    def lines(self, remains: Sequence[Firewall]) -> Iterator[str]:
        """Name them."""
        yield from (f"firewall {one.name}" for one in remains)

    def remove(self, remains: Sequence[Firewall], removal: Removal) -> None:
        """Delete them."""
        for firewall in remains:
            removal.say(f"delete firewall {firewall.name}")
            erase(removal.cloud, firewall)


FIREWALL = FirewallKind()
