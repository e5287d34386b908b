"""Decides what the next generation of the roster says: endpoints, the state of etcd, the addons in force; pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from ipaddress import IPv4Address

from generator.cluster.matching import existing, placed
from generator.cluster.observed import Observed
from generator.documents.roster import Etcd, EtcdState, Roster, compose, next_generation
from generator.plan.decide import Plan

FORMING = timedelta(minutes=30)
"""How long a new etcd cluster may be formed."""
RENEWED = timedelta(minutes=15)
"""What has to be left of that time when a launch relies on it."""


def next_roster(plan: Plan, addons: str, observed: Observed, secrets: str | None = None) -> Roster:
    """Say what the roster should say now; the published one comes back when it says that already.

    An empty token asks for a fresh one.
    """
    published = observed.roster
    here = placed(plan, observed)
    written = compose(
        plan,
        generation=next_generation(max(observed.seen, published.generation if published else 0), now=observed.time),
        time=observed.time,
        endpoints={name: IPv4Address(droplet.private) for name, droplet in here.items() if droplet.private},
        etcd=_etcd(plan, observed),
        addons_sha256=addons,
        secrets_sha256=secrets,
    )
    if published:
        # What a cluster was founded with is a fact of its past; the description may say something else by now.
        written = replace(written, founding=published.founding)
    if published and written == replace(published, generation=written.generation, time=written.time):
        return published
    return written


def changes(plan: Plan, addons: str, observed: Observed, secrets: str | None = None) -> tuple[str, ...]:
    """Say in words what the next generation changes; nothing when the published one stays."""
    before, after = observed.roster, next_roster(plan, addons, observed, secrets)
    if observed.rolled_back is not None:
        was = f"somebody put back generation {observed.rolled_back.generation}, {observed.seen} was there"
        return (f"{was}; etcd is {after.etcd.state}",)
    if before is None:
        return (f"the first, etcd is {after.etcd.state}",)
    words = []
    if before.addons != after.addons:
        words.append("addons")
    if before.secrets != after.secrets:
        words.append("secrets of addons")
    if before.etcd.state != after.etcd.state:
        words.append("etcd has its quorum")
    elif before.etcd != after.etcd:
        words.append("more time to form etcd")
    old = {entry.name: entry for entry in before.nodes}
    for entry in after.nodes:
        known = old.pop(entry.name, None)
        if known is None or replace(known, endpoint=entry.endpoint) != entry:
            words.append(f"{entry.name} is new or has a new key")
        elif known.endpoint != entry.endpoint:
            words.append(f"{entry.name} is at {entry.endpoint}" if entry.endpoint else f"{entry.name} is gone")
    return (*words, *(f"{name} is no longer planned" for name in old))


def _etcd(plan: Plan, observed: Observed) -> Etcd:
    state: EtcdState = "existing" if existing(plan, observed) else "new"
    until = observed.time.replace(microsecond=0) + FORMING
    if observed.roster is None:
        return Etcd(state, "", until)
    known = observed.roster.etcd
    if state == "existing" or known.new_until - observed.time >= RENEWED:
        return replace(known, state=state)
    # Nobody has formed a cluster yet. The token stays while a droplet may have read it.
    here = placed(plan, observed)
    return Etcd(state, known.token if any(node.name in here for node in plan.control_planes) else "", until)
