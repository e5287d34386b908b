"""What a launch would do: each file in tests/launch/ is a cluster as it was found, and the actions that follow.

A case says what differs from a cluster that has everything but droplets and a roster:

    cluster   control_planes and workers, 3 and 0 unless given; debug names an SSH key
    ssh_keys  names of others' keys in the account
    lacks     what isn't there: vpc, firewall, ssh key, tags, bucket, policy, addons, secrets, expiry (the store knows
              no rules)
    vpc       description (`other` or `released`), bucket, generation, ip_range, region
    other_vpc the range of someone else's, or ip_range, region and description (`released`) of it
    firewall  `changed` when its rules are others, `other` when it is for other droplets
    roster    null, or generation, state, new_until (minutes from now), endpoints, addons and secrets (`other`), nodes
              that it is without or has also, by their role, founding where that was other
    droplets  by node: id, age in minutes, private and public address, document (`other`), size, status, region, vpc
    reports   by node: done (the last phase that is over), age in minutes; members and learners of etcd; `forged` when
              nobody vouches for it
    ready     null when no API server answers, else by node
    bundles   by node: expires (minutes from now), or several by any name with node, expires and age in minutes
    given_up  nodes that the operator gives up
    volumes   volumes other than planned, by name: size, region, filesystem, the droplet that has it, its cluster
    policy    statements of the bucket's policy beside the planned one, or all of its text
    expiry    lifecycle rules of the bucket beside the planned one, null for none at all
    secrets   sealed archives that are there beside the reviewed one
    bucket    grants, cors and versioning, where they are other than planned
    state     grants, a policy and expiring rules of the bucket for snapshots, where there are any
    access    the account's keys for that bucket, those for others, and what is sealed, by a digit of its digest

`pytest --update` writes the actions as they are now.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import cache
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import pytest

from generator.cluster import expiry_rules
from generator.cluster.diff import diff
from generator.cluster.kinds import archive, bucket, expiry, policy, secrets, ssh_key, state_bucket, tag
from generator.cluster.kinds.droplet import DROPLET
from generator.cluster.kinds.firewall import FIREWALLS, inbound, outbound
from generator.cluster.kinds.volume import VOLUME
from generator.cluster.kinds.vpc import VPC
from generator.cluster.launchable import Documents
from generator.cluster.matching import highest_generation
from generator.cluster.node_report import Etcd, Member, Phase, Progress
from generator.cluster.observed import (
    BUNDLES,
    DROPLETS,
    ROSTER,
    STATE_ACCESS,
    VOLUMES,
    VPCS,
    Bundle,
    Observed,
    Report,
    StateAccess,
)
from generator.documents import roster as rosters
from generator.plan.decide import Plan
from generator.plan.inventory import Inventory, KeyFact, wireguard_key
from generator.plan.names import RELEASED, Owner, volume_description
from generator.provider.resources import Droplet, Firewall, SshKey, Volume, Vpc
from generator.provider.spaces import Settings
from tests.conftest import TESTS, Golden
from tests.keyring import CLUSTER_ID, NOW, planned
from tests.phases import phases_of

CASES = sorted((TESTS / "launch").glob("*.json"))
ADDONS, OTHER, SECRETS = "a" * 64, "b" * 64, "c" * 64
GENERATION = 7


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_the_actions_follow_from_what_is_there(path: Path, golden: Golden) -> None:
    case = json.loads(path.read_text())
    plan = planned_for(**case.get("cluster", {}))
    documents = Documents({node.name: f"{node.number:x}" * 64 for node in plan.nodes}, ADDONS, secrets=SECRETS)
    actions = [
        f"{action}"
        + (f" hint: {action.hint}" if action.kind in (VPC, DROPLET, VOLUME, ssh_key.SSH_KEY) and action.hint else "")
        for action in diff(plan, documents, observed(plan, documents, case))
    ]
    golden.check(path, json.dumps(case | {"actions": actions}, indent=2) + "\n")


def test_every_case_is_there() -> None:
    assert len(CASES) >= 25


@cache
def planned_for(control_planes: int = 3, workers: int = 0, debug: str | None = None) -> Plan:
    names = [f"node{number:02}" for number in range(1, control_planes + 1)]
    names += [f"worker{number:02}" for number in range(1, workers + 1)]
    keys = tuple(KeyFact(wireguard_key(name), public=f"key of {name}") for name in names)
    inventory = Inventory(CLUSTER_ID, "orderbook", {}, keys)
    return planned(inventory, control_planes=control_planes, workers=workers, debug=debug)


def observed(plan: Plan, documents: Documents, case: Mapping[str, Any]) -> Observed:
    lacks = frozenset(case.get("lacks", ()))
    droplets = tuple(_droplets(plan, documents, case.get("droplets", {})))
    tags = {plan.cluster_tag, *(plan.node_tag(node) for node in plan.nodes)}
    tags |= {plan.document_tag(digest) for digest in documents.nodes.values()}
    found = {
        VPCS: tuple(_vpcs(plan, case, lacks)),
        FIREWALLS: () if "firewall" in lacks else tuple(_firewalls(plan, case)),
        ssh_key.SSH_KEYS: tuple(_ssh_keys(case, lacks)),
        tag.TAGS: frozenset() if "tags" in lacks else frozenset(tags),
        DROPLETS: droplets,
        bucket.BUCKET_SETTINGS: None if "bucket" in lacks else _settings(case.get("bucket", {})),
        expiry.RULES: None if "expiry" in lacks else _rules(plan, case.get("expiry", ())),
        policy.POLICY_TEXT: None if "policy" in lacks else _policy(plan, case.get("policy", [])),
        VOLUMES: tuple(_volumes(plan, case.get("volumes", {}), lacks)),
        ROSTER: _roster(plan, case.get("roster")),
        archive.ADDONS.found: frozenset() if "addons" in lacks else frozenset({ADDONS}),
        secrets.SEALED: frozenset() if "secrets" in lacks else frozenset({SECRETS, *case.get("secrets", ())}),
        BUNDLES: tuple(_bundles(case.get("bundles", {}))),
        state_bucket.STATE_BUCKET: None if "state" in lacks else _state_bucket(case.get("state", {})),
        STATE_ACCESS: StateAccess() if "state" in lacks else _access(case.get("access", {})),
    }
    seen = Observed(
        NOW, dict(_reports(plan, case)), case.get("ready"), given_up=frozenset(case.get("given_up", ())), found=found
    )
    return replace(seen, seen=highest_generation(plan, seen))


def _volumes(plan: Plan, told: Mapping[str, Any], lacks: frozenset[str]) -> Iterator[Volume]:
    """Give each planned volume, attached to its node's droplet, and whatever else a case tells of."""
    wanted = {one.full_name: one.size for node in plan.nodes for one in node.volumes if "volumes" not in lacks}
    for number, name in enumerate(sorted({*wanted, *told})):
        facts = told.get(name, {})
        whose = facts.get("cluster", CLUSTER_ID)
        words = volume_description(whose, "worker01", "data", facts.get("filesystem", "ext4")) if whose else ""
        size = facts.get("size", wanted.get(name, 10))
        yield Volume(f"d{number}", name, facts.get("region", "fra1"), size, words, facts.get("droplet"))


def _state_bucket(told: Mapping[str, Any]) -> state_bucket.StateBucket:
    grants = tuple((grantee, permission) for grantee, permission in told.get("grants", ()))
    return state_bucket.StateBucket(grants, told.get("policy", False), tuple(told.get("expiring", ())))


def _access(told: Mapping[str, Any]) -> StateAccess:
    keys = told.get("keys", ["DO00OURS"])
    sealed = {digit * 64: key for digit, key in told.get("sealed", {"d": "DO00OURS"}).items()}
    return StateAccess(sealed, None if keys is None else frozenset(keys), frozenset(told.get("others", ())))


def _settings(told: Mapping[str, Any]) -> Settings:
    grants = tuple((grantee, permission) for grantee, permission in told.get("grants", ()))
    return Settings(grants, tuple(told.get("cors", ())), told.get("versioning", ""))


def _policy(plan: Plan, told: Any) -> str:
    if isinstance(told, str):
        return told
    return json.dumps({"Version": "2012-10-17", "Statement": [*told, policy.place(plan).statement]})


def _rules(plan: Plan, told: Sequence[Mapping[str, Any]] | None) -> tuple[Mapping[str, Any], ...]:
    return () if told is None else (*told, expiry_rules.planned(plan.name))


def _vpcs(plan: Plan, case: Mapping[str, Any], lacks: frozenset[str]) -> Iterator[Vpc]:
    told = case.get("vpc", {})
    generation = told.get("generation", GENERATION if case.get("roster") else 0)
    ours = str(Owner(plan.cluster_id, told.get("bucket", plan.spaces_bucket), plan.spaces_region, generation))
    other = ours.replace(CLUSTER_ID, f"0{CLUSTER_ID[1:]}")
    words = {"other": other, "released": RELEASED, None: ours}[told.get("description")]
    network = IPv4Network(told.get("ip_range", str(plan.vpc)))
    if "vpc" not in lacks:
        yield Vpc("v1", "hardway-orderbook", words, told.get("region", "fra1"), network)
    if "other_vpc" in case:
        other_one = case["other_vpc"]
        facts = other_one if isinstance(other_one, dict) else {"ip_range": other_one}
        region, words = facts.get("region", "fra1"), RELEASED if facts.get("description") == "released" else ""
        yield Vpc("v2", "default-fra1", words, region, IPv4Network(facts["ip_range"]), default=True)


def _firewalls(plan: Plan, case: Mapping[str, Any]) -> Iterator[Firewall]:
    rules = inbound(plan)[1:] if case.get("firewall") == "changed" else inbound(plan)
    tags = ("web",) if case.get("firewall") == "other" else (plan.cluster_tag,)
    yield Firewall("f1", "hardway-orderbook", tags, rules, outbound())


def _ssh_keys(case: Mapping[str, Any], lacks: frozenset[str]) -> Iterator[SshKey]:
    if "ssh key" not in lacks:
        yield SshKey(1, "hardway-orderbook", "3b:16")
    for number, name in enumerate(case.get("ssh_keys", ()), start=2):
        yield SshKey(number, name, f"3b:{number}")


def _droplets(plan: Plan, documents: Documents, told: Mapping[str, Any]) -> Iterator[Droplet]:
    for key, facts in told.items():
        name = facts.get("node", key)
        digest = documents.nodes.get(name, "e" * 64) if facts.get("document") != "other" else "f" * 64
        yield Droplet(
            id=facts["id"],
            name=name,
            status=facts.get("status", "active"),
            region=facts.get("region", "fra1"),
            size=facts.get("size", "s-2vcpu-4gb"),
            tags=(plan.cluster_tag, f"{plan.cluster_tag}:node:{name}", plan.document_tag(digest)),
            created=NOW - timedelta(minutes=facts.get("age", 10)),
            vpc=facts.get("vpc", "v1"),
            public=facts.get("public", f"203.0.113.{facts['id']}"),
            private=facts.get("private", f"10.110.0.{facts['id']}"),
        )


def _roster(plan: Plan, told: Mapping[str, Any] | None) -> rosters.Roster | None:
    if told is None:
        return None
    until = NOW + timedelta(minutes=told.get("new_until", 25))
    endpoints = {name: IPv4Address(address) for name, address in told.get("endpoints", {}).items()}
    written = rosters.compose(
        plan,
        generation=told.get("generation", GENERATION),
        time=NOW - timedelta(minutes=10),
        endpoints=endpoints,
        etcd=rosters.Etcd(told["state"], "hardway-token", until),
        addons_sha256=OTHER if told.get("addons") == "other" else ADDONS,
        secrets_sha256=OTHER if told.get("secrets") == "other" else SECRETS,
        state_access=told.get("access", "d") * 64,
    )
    nodes = [entry for entry in written.nodes if entry.name not in told.get("without", ())]
    for number, (name, role) in enumerate(told.get("also", {}).items(), start=50):
        nodes = [entry for entry in nodes if entry.name != name]
        place = (f"10.44.0.{number}", f"10.42.{number - 1}.0/24")
        nodes.append(rosters.Entry(name, number, role, *place, f"key of {name}", endpoints.get(name)))
    founding = replace(written.founding, **told.get("founding", {}))
    return replace(written, nodes=tuple(nodes), founding=founding)


def _bundles(told: Mapping[str, Any]) -> Iterator[Bundle]:
    for number, (name, facts) in enumerate(told.items()):
        node = facts.get("node", name)
        key = f"orderbook/bundles/{node}-{number:032}.bundle" if node else f"orderbook/bundles/{name}"
        age = timedelta(minutes=facts.get("age", 10))
        yield Bundle(key, node, NOW - age, NOW + timedelta(minutes=facts["expires"]))


def _reports(plan: Plan, case: Mapping[str, Any]) -> Iterator[tuple[str, Report]]:
    for node, facts in case.get("reports", {}).items():
        planned = {one.name: one.is_control_plane for one in plan.nodes}
        names = phases_of(control_plane=planned.get(node, True))
        last = names.index(facts["done"])
        phases = tuple(Phase(name, "done" if place <= last else "waiting") for place, name in enumerate(names))
        members = [Member(f"{number:x}", name, False) for number, name in enumerate(facts.get("members", ()), start=1)]
        members += [Member(f"{number:x}", name, True) for number, name in enumerate(facts.get("learners", ()), start=9)]
        etcd = Etcd(member="1", leader="1", members=tuple(members)) if members else None
        age = facts.get("age", 1)
        own = [one for key, one in case.get("droplets", {}).items() if one.get("node", key) == node]
        droplet = facts.get("droplet", min((one["id"] for one in own if one.get("age", 10) >= age), default=0))
        progress = Progress(node, GENERATION, phases, droplet=droplet, etcd=etcd)
        yield node, Report(NOW - timedelta(minutes=age), progress, is_vouched=not facts.get("forged", False))
