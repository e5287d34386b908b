"""Compares what a cluster should be with what is there and says what to do about it; pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from generator.cluster.matching import existing, node_of, placed, quorum, ready, told
from generator.cluster.next_roster import changes
from generator.cluster.observed import Observed, object_name
from generator.plan.decide import Node, Plan
from generator.provider.resources import Droplet, Rule, rules

Verb = Literal["refuse", "delete", "create", "update", "upload", "publish", "wait", "keep"]

OWNED = re.compile(r"hardway cluster (?P<id>[0-9a-f-]{36}), objects in (?P<bucket>\S+) (?P<region>\S+)")
RELEASED = "released by hardway"
ANYWHERE = ("0.0.0.0/0", "::/0")


@dataclass(frozen=True)
class Documents:
    """What was reviewed: the SHA-256 of each node's document, and of the archives of addons and agent."""

    nodes: Mapping[str, str]
    addons: str
    agent: str = ""


@dataclass(frozen=True)
class Action:
    """One thing to do, safe to repeat.

    `refuse` stops a launch, `wait` is for a later round, `keep` is only said. `id` is the provider's.
    """

    verb: Verb
    kind: str
    name: str
    why: str = ""
    id: str = ""
    hint: str | None = None

    @property
    def changes(self) -> bool:
        """Tell whether it does something."""
        return self.verb not in ("refuse", "wait", "keep")

    def __str__(self) -> str:
        """Show it as one line."""
        return f"{self.verb:<7} {self.kind:<8} {self.name}" + (f"  ({self.why})" if self.why else "")


def diff(plan: Plan, documents: Documents, observed: Observed) -> tuple[Action, ...]:
    """Say what to do, in the order in which it is done; where something is refused, nothing else is done."""
    refusals = tuple(_refusals(plan, observed))
    if refusals:
        return refusals
    return (
        *_surplus(plan, observed),
        *_account(plan, documents, observed),
        *_bucket(plan, documents, observed),
        *_droplets(plan, documents, observed),
        *_bundles(plan, observed),
    )


def inbound(plan: Plan) -> tuple[Rule, ...]:
    """List what may reach a droplet; the provider drops everything else, inside the VPC too."""
    people = tuple(sorted(str(network) for network in plan.api_access))
    return rules(
        (
            Rule("tcp", str(plan.api_port), addresses=people),
            Rule("tcp", "80", addresses=ANYWHERE),
            Rule("tcp", "443", addresses=ANYWHERE),
            Rule("udp", str(plan.wireguard_port), tags=(plan.cluster_tag,)),
            Rule("icmp", "0", tags=(plan.cluster_tag,)),
        )
    )


def outbound() -> tuple[Rule, ...]:
    """List what a droplet may reach: everything, which has to be said."""
    return rules(Rule(protocol, "0", addresses=ANYWHERE) for protocol in ("tcp", "udp", "icmp"))


def description(plan: Plan) -> str:
    """Write what marks the VPC as the cluster's, and tells where its objects are."""
    return f"hardway cluster {plan.cluster_id}, objects in {plan.spaces_bucket} {plan.spaces_region}"


def _refusals(plan: Plan, observed: Observed) -> Iterator[Action]:
    name = object_name(plan.name)
    for vpc in observed.vpcs:
        if vpc.name == name and vpc.description not in (description(plan), RELEASED):
            owner = OWNED.search(vpc.description)
            why = f"belongs to another cluster of this name, {owner['id']}" if owner else "is not one of this program's"
            yield Action("refuse", "vpc", name, why, vpc.id)
        elif vpc.name == name and vpc.ip_range != plan.vpc:
            yield Action("refuse", "vpc", name, f"has {vpc.ip_range}, not {plan.vpc}, which can't be changed", vpc.id)
        elif vpc.name == name and vpc.region != plan.region:
            yield Action("refuse", "vpc", name, f"is in {vpc.region}, not in {plan.region}", vpc.id)
        elif vpc.name != name and vpc.ip_range.overlaps(plan.vpc):
            yield Action("refuse", "vpc", vpc.name, f"its {vpc.ip_range} overlaps `network.vpc`", vpc.id)
    for firewall in observed.firewalls:
        if firewall.tags and plan.cluster_tag not in firewall.tags:
            why = f"has this cluster's name, but stands before {', '.join(firewall.tags)}"
            yield Action("refuse", "firewall", firewall.name, why, firewall.id, "rename or delete it")
    if not existing(plan, observed):
        return
    here = placed(plan, observed)
    control_planes = [node.name for node in plan.control_planes]
    missing = [name for name in control_planes if name not in here]
    if len(control_planes) - len(missing) < quorum(plan):
        lost = "its data is gone" if len(missing) == len(control_planes) else "the others can't let anyone join"
        why = f"missing, so etcd has no quorum: {lost}, and a second cluster is never formed"
        yield Action("refuse", "droplet", ", ".join(missing), why, hint=f"`gen destroy {plan.name}`, then launch anew")


def _surplus(plan: Plan, observed: Observed) -> Iterator[Action]:
    here = placed(plan, observed)
    kept = {droplet.id for droplet in here.values()}
    planned = {node.name for node in plan.nodes}
    for droplet in sorted(observed.droplets, key=lambda one: one.id):
        node = node_of(plan, droplet)
        if node not in planned:
            yield Action("keep", "droplet", droplet.name, "has the cluster's tag but is not planned", str(droplet.id))
        elif droplet.id not in kept:
            why = f"{droplet.id}, " + ("a second one of the node" if node in here else "can't come up any more")
            yield Action("delete", "droplet", droplet.name, why, str(droplet.id))
    for firewall in observed.firewalls[1:]:
        yield Action("delete", "firewall", firewall.name, "a second one", firewall.id)
    for key in observed.ssh_keys[1:]:
        yield Action("delete", "ssh key", key.name, "a second one", str(key.id))


def _account(plan: Plan, documents: Documents, observed: Observed) -> Iterator[Action]:
    name = object_name(plan.name)
    if not observed.ssh_keys:
        yield Action("create", "ssh key", name, "nobody has its private half; without one, passwords are mailed")
    here = placed(plan, observed)
    wanted = [plan.cluster_tag]
    for node in plan.nodes:
        if node.name not in here:
            wanted += [plan.node_tag(node), plan.document_tag(documents.nodes[node.name])]
    yield from (Action("create", "tag", tag) for tag in dict.fromkeys(wanted) if tag not in observed.tags)
    vpc = next((vpc for vpc in observed.vpcs if vpc.name == name), None)
    if vpc is None:
        yield Action("create", "vpc", name, str(plan.vpc))
    elif vpc.description == RELEASED:
        yield Action("update", "vpc", name, "left over by a destroyed cluster, as the region's default", vpc.id)
    if not observed.firewalls:
        yield Action("create", "firewall", name)
        return
    firewall = observed.firewalls[0]
    if (firewall.inbound, firewall.outbound, firewall.tags) != (inbound(plan), outbound(), (plan.cluster_tag,)):
        yield Action("update", "firewall", name, "its rules are not the planned ones", firewall.id)


def _bucket(plan: Plan, documents: Documents, observed: Observed) -> Iterator[Action]:
    if not observed.bucket:
        yield Action("create", "bucket", plan.spaces_bucket)
    if plan.public_prefix not in observed.public:
        yield Action("update", "policy", plan.spaces_bucket, f"anyone may read {plan.public_prefix}/*")
    if documents.addons not in observed.archives:
        yield Action("upload", "addons", f"{documents.addons}.tar")
    if documents.agent and documents.agent not in observed.archives:
        yield Action("upload", "agent", f"{documents.agent}.tar")
    why = changes(plan, documents.addons, observed)
    if why:
        yield Action("publish", "roster", plan.name, ", ".join(why))


def _droplets(plan: Plan, documents: Documents, observed: Observed) -> Iterator[Action]:
    here = placed(plan, observed)
    joining = _joining(plan, observed, here)
    for node in plan.nodes:
        if node.name in here:
            yield from _differences(plan, node, documents, here[node.name])
        elif node.is_control_plane and joining:
            yield Action("wait", "droplet", node.name, f"until {joining[0]} has joined etcd: one at a time")
        else:
            yield Action("create", "droplet", node.name, f"{node.size} in {plan.region}")
            if node.is_control_plane and existing(plan, observed):
                joining.append(node.name)


def _joining(plan: Plan, observed: Observed, here: Mapping[str, Droplet]) -> list[str]:
    """Name the control-plane nodes that are not members yet of an etcd that lives."""
    if not existing(plan, observed):
        return []
    present = [(node, here[node.name]) for node in plan.control_planes if node.name in here]
    return [
        node.name
        for node, droplet in present
        if not told(node, droplet, observed, "etcd") and not ready(node, droplet, observed)
    ]


def _differences(plan: Plan, node: Node, documents: Documents, droplet: Droplet) -> Iterator[Action]:
    wanted = plan.document_tag(documents.nodes[node.name])
    if wanted not in droplet.tags:
        why = "was born with another document; to replace the node, destroy its droplet and launch again"
        yield Action("keep", "droplet", node.name, why, str(droplet.id))
    if droplet.size != node.size:
        yield Action("keep", "droplet", node.name, f"has size {droplet.size}, not {node.size}", str(droplet.id))
    if droplet.status in ("off", "archive"):
        yield Action("keep", "droplet", node.name, "is switched off", str(droplet.id))


def _bundles(plan: Plan, observed: Observed) -> Iterator[Action]:
    """Remove bundles that no droplet will fetch any more; those of a node about to be made go with its making."""
    here = placed(plan, observed)
    planned = {node.name: node for node in plan.nodes}
    for bundle in observed.bundles:
        node, droplet = planned.get(bundle.node), here.get(bundle.node)
        if node is None:
            yield Action("delete", "bundle", bundle.key, "its node is not planned")
        elif droplet and (told(node, droplet, observed, "secrets") or ready(node, droplet, observed)):
            yield Action("delete", "bundle", bundle.key, "its node has it")
