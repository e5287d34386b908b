"""Brings a cluster back whose control plane is lost: new droplets with the same identities, and a snapshot's data.

The first control-plane node begins a new etcd with it, and the others join that one. What makes a node do so is the
operator's roster alone, which names the snapshot by its digest.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from generator.cluster import next_roster as rosters
from generator.cluster import resealing
from generator.cluster.assembly import Assembly
from generator.cluster.engine import Names, Row, Step
from generator.cluster.kinds.droplet import end
from generator.cluster.matching import node_of, reported
from generator.cluster.membership import machines, membership
from generator.cluster.observed import DROPLETS, ROSTER
from generator.cluster.site import Site
from generator.cluster.snapshots import Snapshot
from generator.documents.roster import Etcd, next_generation, payload, sign
from generator.pki.store import KeyStore
from generator.plan import names
from generator.provider.resources import Droplet
from generator.provider.spaces import LONGEST_URL


class Restoration:
    """The rows by which a snapshot becomes the data of a cluster.

    Args:
        plain: the snapshot as etcd wrote it, tried already.
        store: the cluster's keys.
    """

    def __init__(self, snapshot: Snapshot, plain: Path, store: KeyStore, assembly: Assembly) -> None:
        self._snapshot = snapshot
        self._plain = plain
        self._store = store
        self._assembly = assembly
        self.rows = (
            Row("lose", "delete what is left of the control plane", self._lose, self._left),
            # In this order: what is sealed anew shows that the roster was told.
            Row("announce", "say in the roster that etcd begins with it", self._announce, self._unsaid),
            Row("seal", "seal the snapshot anew, for its first node alone", self._seal, self._unsealed),
        )

    def steps(self) -> tuple[Step, ...]:
        """Give the rows for the cluster as a whole."""
        forget = Row("forget", "delete what was sealed anew", self._forget, self._kept)
        return (*(Step(row) for row in self.rows), *self._assembly.steps(), Step(forget))

    def _lose(self, site: Site, nodes: Names) -> None:  # noqa: ARG002
        for droplet in _going(site, self._snapshot):
            end(droplet, site.work)
            left = tuple(one for one in site.observed.droplets if one != droplet)
            site.observed = site.observed.having(DROPLETS, left)
        site.look()

    def _left(self, site: Site, nodes: Names) -> str:  # noqa: ARG002
        return ", ".join(one.name for one in _going(site, self._snapshot))

    def _seal(self, site: Site, nodes: Names) -> None:  # noqa: ARG002
        # What an earlier run has sealed stays to the end: its droplet may fetch it still.
        site.work.restore = resealing.reseal(self._plain, site.plan, site.connection, self._snapshot.plain_sha256)

    def _unsealed(self, site: Site, nodes: Names) -> str:  # noqa: ARG002
        roster, first = site.observed.roster, site.plan.control_planes[0].name
        is_needed = roster is not None and roster.etcd.state == "restoring" and first not in site.case.here
        return "the snapshot" if is_needed and site.work.restore is None else ""

    def _announce(self, site: Site, nodes: Names) -> None:  # noqa: ARG002
        plan, observed = site.plan, site.observed
        base = rosters.next_roster(plan, site.documents, observed)
        roster = replace(
            base,
            generation=next_generation(max(observed.seen, base.generation), now=observed.time),
            time=observed.time,
            etcd=Etcd(
                state="restoring",
                token=f"hardway-{secrets.token_hex(16)}",
                new_until=observed.time.replace(microsecond=0),
                snapshot=self._snapshot.plain_sha256,
            ),
        )
        signed = sign(payload(roster), self._store.operator_key)
        site.spaces.put(names.roster_key(plan.public_prefix), signed, content_type="application/json")
        site.observed = observed.having(ROSTER, roster)

    def _unsaid(self, site: Site, nodes: Names) -> str:  # noqa: ARG002
        return "" if is_begun(site, self._snapshot) else "the roster"

    def _forget(self, site: Site, nodes: Names) -> None:  # noqa: ARG002
        resealing.forget(site.plan, site.spaces)

    def _kept(self, site: Site, nodes: Names) -> str:  # noqa: ARG002
        return ", ".join(one.key for one in site.spaces.objects(names.resealed_prefix(site.plan.name)))


def is_begun(site: Site, snapshot: Snapshot) -> bool:
    """Tell whether etcd begins with this snapshot by the roster, or has begun, and only the end is missing."""
    roster = site.observed.roster
    if roster is None or roster.etcd.state == "new":
        return False
    if roster.etcd.state == "restoring":
        return roster.etcd.snapshot == snapshot.plain_sha256
    # Where etcd is lost anew, what an earlier restore has left to be deleted begins nothing.
    members = membership(site.plan, site.observed)
    there = machines(site.plan, site.observed, members.voters)
    is_alive = len(there) >= members.quorum
    return is_alive and resealing.is_left(site.plan, site.spaces, snapshot.plain_sha256, site.observed.time)


def _going(site: Site, snapshot: Snapshot) -> tuple[Droplet, ...]:
    """List the droplets that have to go: all of the control plane, or a first one that can't fetch any more."""
    if not is_begun(site, snapshot):
        return control_plane(site)
    roster, first = site.observed.roster, site.plan.control_planes[0]
    droplet = site.case.here.get(first.name)
    if roster is None or roster.etcd.state != "restoring" or droplet is None:
        return ()
    is_late = site.observed.time - droplet.created > LONGEST_URL
    return (droplet,) if is_late and not reported(first, droplet, site.observed, "etcd") else ()


def control_plane(site: Site) -> tuple[Droplet, ...]:
    """List the droplets that have etcd, by the plan, or by the roster where they left it."""
    planned = {node.name: str(node.role) for node in site.plan.nodes}
    listed = {one.name: one.role for one in site.observed.roster.nodes} if site.observed.roster else {}
    roles = listed | planned
    return tuple(one for one in site.observed.droplets if roles.get(node_of(site.plan, one) or "") == "control-plane")


def last_heard(site: Site) -> datetime | None:
    """Give when a control-plane node last vouched for anything: what was written later nobody knows."""
    told = [
        report.at
        for node in site.plan.control_planes
        if (report := site.observed.reports.get(node.name)) is not None and report.is_vouched
    ]
    return max(told, default=None)
