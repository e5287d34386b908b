"""Carries out what the comparison asked for, one action at a time, each safe to repeat."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field, replace
from datetime import timedelta

from generator.clock import Clock, stamp
from generator.cluster import launch_part
from generator.cluster.diff import Action, description, inbound, outbound
from generator.cluster.launch_part import LaunchFacts
from generator.cluster.next_roster import next_roster
from generator.cluster.observed import Observed, bundles_prefix, object_name, roster_key, status_key
from generator.cluster.observer import Memory
from generator.cluster.preflight import Launchable
from generator.documents import roster as rosters
from generator.errors import Problem
from generator.pki import bundle
from generator.pki.bundle import KEY_BYTES
from generator.plan.decide import Node
from generator.provider import resources, ssh_key
from generator.provider.digitalocean import Cloud
from generator.provider.resources import Droplet
from generator.provider.retry import LOOKS
from generator.provider.spaces import Spaces

IN_FLIGHT = timedelta(minutes=3)
"""A bundle younger than this may belong to a droplet that lists don't show yet."""
ABANDONED = timedelta(minutes=10)
"""A bundle older than this, of a node that has no droplet, is nobody's; a younger one is left to its droplet."""
FIREWALL_POLLS = 40
END_POLLS = 20
TRIES = 3


@dataclass
class Applier:
    """Acts for one launch; `tries` counts the droplets made for each node."""

    launchable: Launchable
    cloud: Cloud
    spaces: Spaces
    clock: Clock
    lifetime: timedelta
    memory: Memory
    tries: dict[str, int] = field(default_factory=dict)

    def apply(self, action: Action, observed: Observed) -> Observed:
        """Carry out one action and give what is observed with its effect."""
        plan = self.launchable.plan
        match action.verb, action.kind:
            case "create", "tag":
                self.cloud.create_tag(action.name)
                return replace(observed, tags=observed.tags | {action.name})
            case "create", "ssh key":
                key = ssh_key.throw_away()
                registered = self.cloud.create_ssh_key(action.name, key.line, key.fingerprint)
                return replace(observed, ssh_keys=(registered,))
            case "create", "vpc":
                vpc = self.cloud.create_vpc(action.name, description(plan), plan.region, str(plan.vpc))
                return replace(observed, vpcs=(*observed.vpcs, vpc))
            case "update", "vpc":
                vpc = next(one for one in observed.vpcs if one.id == action.id)
                self.cloud.describe_vpc(vpc, description(plan))
                taken = replace(vpc, description=description(plan))
                return replace(observed, vpcs=tuple(taken if one == vpc else one for one in observed.vpcs))
            case (("create" | "update"), "firewall"):
                return self._firewall(action, observed)
            case "create", "bucket":
                self.spaces.create_bucket()
                return replace(observed, bucket=True)
            case "update", "policy":
                self.spaces.allow_public_read(plan.public_prefix)
                return replace(observed, public=(plan.public_prefix,))
            case "upload", ("addons" | "agent"):
                archive = self.launchable.archive if action.kind == "addons" else self.launchable.agent
                self.spaces.put(f"{plan.public_prefix}/{action.name}", archive, content_type="application/x-tar")
                return replace(observed, archives=observed.archives | {action.name.removesuffix(".tar")})
            case "publish", "roster":
                return self._publish(observed)
            case "create", "droplet":
                return self._create(plan.node(action.name), observed)
            case "delete", _:
                return self._delete(action, observed)
        raise ValueError(f"{action} is no action")

    def _firewall(self, action: Action, observed: Observed) -> Observed:
        plan = self.launchable.plan
        rules = plan.cluster_tag, inbound(plan), outbound()
        if action.verb == "create":
            self.cloud.create_firewall(action.name, *rules)
        else:
            self.cloud.update_firewall(observed.firewalls[0], *rules)
        for _ in range(FIREWALL_POLLS):
            firewalls = self.cloud.firewalls(action.name)
            if firewalls and firewalls[0].settled:
                # The provider may write a rule in another form than it was given; that is no reason to insist.
                taken = replace(firewalls[0], inbound=rules[1], outbound=rules[2], tags=(rules[0],))
                return replace(observed, firewalls=(taken, *firewalls[1:]))
            self.clock.sleep(3)
        raise Problem("is not in force after two minutes", where=f"firewall {action.name}", hint="launch again")

    def _publish(self, observed: Observed) -> Observed:
        plan, store = self.launchable.plan, self.launchable.store
        roster = next_roster(plan, self.launchable.documents.addons, observed)
        if not roster.etcd.token:
            roster = replace(roster, etcd=replace(roster.etcd, token=f"hardway-{secrets.token_hex(16)}"))
        signed = rosters.sign(rosters.payload(roster), store.operator_key)
        self.spaces.put(roster_key(plan), signed, content_type="application/json")
        return replace(observed, roster=roster)

    def _create(self, node: Node, observed: Observed) -> Observed:
        plan = self.launchable.plan
        tag = plan.node_tag(node)
        gone = {one.id for one in observed.droplets if tag in one.tags} | self.memory.removed.keys()
        found = self._in_flight(node, observed, gone)
        if found is None:
            self.tries[node.name] = self.tries.get(node.name, 0) + 1
            if self.tries[node.name] > TRIES:
                message = f"{TRIES} droplets were made for it in one launch, none came up"
                raise Problem(message, where=node.name, hint="see its last report above; launch again later")
            for bundle_ in observed.bundles:
                if bundle_.node == node.name and observed.time - bundle_.modified > ABANDONED:
                    self.spaces.delete(bundle_.key)
            self.spaces.delete(status_key(plan.name, node.name))
            found = self.cloud.create_droplet(self._order(node, observed), tag, gone)
        self.memory.made[found.id] = found
        reports = {name: report for name, report in observed.reports.items() if name != node.name}
        return replace(observed, droplets=(*observed.droplets, found), reports=reports)

    def _in_flight(self, node: Node, observed: Observed, gone: set[int]) -> Droplet | None:
        """Look for a droplet that an interrupted launch may have made a moment ago."""
        young = [one for one in observed.bundles if one.node == node.name and observed.time - one.modified < IN_FLIGHT]
        for pause in LOOKS if young else ():
            found = self.cloud.droplets(self.launchable.plan.node_tag(node))
            alive = [one for one in found if one.id not in gone]
            if alive:
                return alive[0]
            self.clock.sleep(pause)
        return None

    def _order(self, node: Node, observed: Observed) -> resources.Json:
        """Seal the node's bundle, put it where only its droplet finds it, and write the order of that droplet."""
        plan, store = self.launchable.plan, self.launchable.store
        if observed.roster is None:
            raise ValueError("a droplet needs a roster")
        name = object_name(plan.name)
        vpc = next(vpc for vpc in observed.vpcs if vpc.name == name)
        key = secrets.token_bytes(KEY_BYTES)
        sealed = bundle.seal(bundle.node_bundle(plan, node, store), key, plan.cluster_id, node.name)
        bundle_key = f"{bundles_prefix(plan.name)}{node.name}-{secrets.token_hex(16)}.bundle"
        expires = self.clock.now() + self.lifetime
        self.spaces.put(bundle_key, sealed, facts={"expires": stamp(expires)})
        facts = LaunchFacts(
            node=node.name,
            bundle_url=self.spaces.presign_get(bundle_key, self.lifetime),
            bundle_key=key,
            roster_url=self.spaces.url(roster_key(plan)),
            addons_url=self.spaces.url(f"{plan.public_prefix}/"),
            status_url=self.spaces.presign_put(status_key(plan.name, node.name), self.lifetime),
            generation=observed.roster.generation,
            expires=expires,
        )
        text = self.launchable.texts[node.name]
        document = self.launchable.documents.nodes[node.name]
        return {
            "name": node.name,
            "region": plan.region,
            "size": node.size,
            "image": plan.image,
            "vpc_uuid": vpc.id,
            "ssh_keys": [observed.ssh_keys[0].id],
            "tags": [plan.cluster_tag, plan.node_tag(node), plan.document_tag(document)],
            "user_data": launch_part.multipart(text, facts),
            "ipv6": False,
            "monitoring": False,
            "backups": False,
            "with_droplet_agent": False,
        }

    def _await_end(self, droplet: Droplet) -> None:
        """Wait until a droplet is gone: two machines of one identity must never run side by side."""
        for _ in range(END_POLLS):
            if self.cloud.droplet(droplet.id) is None:
                return
            self.clock.sleep(3)
        raise Problem("is not gone a minute after its deletion", where=f"droplet {droplet.name}", hint="launch again")

    def _delete(self, action: Action, observed: Observed) -> Observed:
        match action.kind:
            case "droplet":
                droplet = next(one for one in observed.droplets if str(one.id) == action.id)
                self.cloud.delete_droplet(droplet)
                self.memory.removed[droplet.id] = self.clock.now()
                self._await_end(droplet)
                return replace(observed, droplets=tuple(one for one in observed.droplets if one != droplet))
            case "bundle":
                self.spaces.delete(action.name)
                kept = tuple(one for one in observed.bundles if one.key != action.name)
                return replace(observed, bundles=kept)
            case "firewall":
                firewall = next(one for one in observed.firewalls if one.id == action.id)
                self.cloud.delete_firewall(firewall)
                return replace(observed, firewalls=tuple(one for one in observed.firewalls if one != firewall))
            case "ssh key":
                key = next(one for one in observed.ssh_keys if str(one.id) == action.id)
                self.cloud.delete_ssh_key(key)
                return replace(observed, ssh_keys=tuple(one for one in observed.ssh_keys if one != key))
        raise ValueError(f"{action} is no action")
