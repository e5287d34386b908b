"""Looks at everything a cluster has at the provider, in its bucket and in Kubernetes, and keeps it as one value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from generator.clock import moment
from generator.cluster import node_report
from generator.cluster.node_report import Progress
from generator.documents import roster
from generator.documents.roster import Roster
from generator.plan.decide import Plan
from generator.provider.digitalocean import Cloud
from generator.provider.resources import Droplet, Firewall, SshKey, Vpc
from generator.provider.spaces import LONGEST_URL, Spaces, Stored

BUNDLE = re.compile(r"(?P<node>.+)-[0-9a-f]{32}\.bundle")


@dataclass(frozen=True)
class Report:
    """A node's own account of its boot, and when it came in by the store's clock."""

    at: datetime
    progress: Progress


@dataclass(frozen=True)
class Bundle:
    """A sealed bundle that lies in the bucket; its address works until `expires`."""

    key: str
    node: str
    modified: datetime
    expires: datetime


@dataclass(frozen=True)
class Observed:
    """The state of one cluster; there is no other record of it.

    `time` is the observer's. `ready` has the nodes that Kubernetes knows and whether they are ready, None when
    no API server answered; `applied` is the digest of the addons that it has. `archives` are the digests of the
    archives (addons, agent) in the bucket.
    """

    time: datetime
    vpcs: tuple[Vpc, ...] = ()
    firewalls: tuple[Firewall, ...] = ()
    ssh_keys: tuple[SshKey, ...] = ()
    tags: frozenset[str] = frozenset()
    droplets: tuple[Droplet, ...] = ()
    bucket: bool = False
    public: tuple[str, ...] = ()
    roster: Roster | None = None
    archives: frozenset[str] = frozenset()
    bundles: tuple[Bundle, ...] = ()
    reports: Mapping[str, Report] = field(default_factory=dict)
    ready: Mapping[str, bool] | None = None
    applied: str | None = None


def object_name(cluster: str) -> str:
    """Give the name of a cluster's VPC, firewall and SSH key."""
    return f"hardway-{cluster}"


def lock_key(cluster: str) -> str:
    """Say where the lock of a cluster lies in the bucket."""
    return f"{cluster}/lock"


def bundles_prefix(cluster: str) -> str:
    """Say below what a cluster's sealed bundles lie."""
    return f"{cluster}/bundles/"


def status_key(cluster: str, node: str) -> str:
    """Say where a node writes how far it is."""
    return f"{cluster}/status/{node}.json"


def read_bundles(spaces: Spaces, cluster: str, objects: tuple[Stored, ...]) -> tuple[Bundle, ...]:
    """Read which bundles lie in the bucket, and until when their addresses work."""
    prefix = bundles_prefix(cluster)
    found = []
    for stored in objects:
        match = BUNDLE.fullmatch(stored.key.removeprefix(prefix)) if stored.key.startswith(prefix) else None
        if match is None:
            continue
        expires = stored.modified + LONGEST_URL
        facts = spaces.facts(stored.key) or {}
        if "expires" in facts:
            with suppress(ValueError):
                expires = min(expires, moment(facts["expires"]))
        found.append(Bundle(stored.key, match["node"], stored.modified, expires))
    return tuple(found)


def read_reports(spaces: Spaces, cluster: str, objects: tuple[Stored, ...]) -> dict[str, Report]:
    """Read what the nodes say; what can't be read is left out."""
    reports = {}
    for stored in objects:
        node = stored.key.removeprefix(f"{cluster}/status/").removesuffix(".json")
        if stored.key != status_key(cluster, node) or stored.size > node_report.LIMIT_BYTES:
            continue
        body = spaces.get(stored.key)
        told = node_report.read(body, node) if body is not None else None
        if told is not None:
            reports[node] = Report(stored.modified, told)
    return reports


def observe(cloud: Cloud, spaces: Spaces, plan: Plan, *, time: datetime) -> Observed:
    """Look at everything once.

    Args:
        time: the time by the provider's clock.
    """
    name = object_name(plan.name)
    bucket = spaces.bucket_exists()
    objects = spaces.objects(f"{plan.name}/") if bucket else ()
    archives = f"{plan.public_prefix}/"
    return Observed(
        time=time,
        vpcs=cloud.vpcs(),
        firewalls=cloud.firewalls(name),
        ssh_keys=cloud.ssh_keys(name),
        tags=cloud.tags(plan.cluster_tag),
        droplets=cloud.droplets(plan.cluster_tag),
        bucket=bucket,
        public=spaces.public_prefixes() if bucket else (),
        roster=read_roster(spaces, plan) if bucket else None,
        archives=frozenset(
            one.key.removeprefix(archives).removesuffix(".tar") for one in objects if one.key.startswith(archives)
        ),
        bundles=read_bundles(spaces, plan.name, objects),
        reports=read_reports(spaces, plan.name, objects),
    )


def roster_key(plan: Plan) -> str:
    """Say where the roster lies in the bucket, for anyone to read."""
    return f"{plan.public_prefix}/roster.json"


def read_roster(spaces: Spaces, plan: Plan) -> Roster | None:
    """Read the published roster.

    Raises:
        Problem: it is not signed by this cluster's operator.
    """
    body = spaces.get(roster_key(plan))
    return None if body is None else roster.verify(body, plan.operator_public_key, cluster_id=plan.cluster_id)
