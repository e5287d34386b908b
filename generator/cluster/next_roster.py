"""Decides what the next generation of the roster says: endpoints, the state of etcd, the addons in force; pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from ipaddress import IPv4Address

from generator.cluster import addresses
from generator.cluster.launchable import Documents
from generator.cluster.matching import existing, node_of, placed
from generator.cluster.membership import membership
from generator.cluster.observed import STATE_ACCESS, Observed
from generator.documents.roster import Entry, Etcd, EtcdState, Roster, compose, next_generation
from generator.plan.decide import Plan

FORMING = timedelta(minutes=30)
"""How long a new etcd cluster may be formed."""
RENEWED = timedelta(minutes=15)
"""What has to be left of that time when a launch relies on it."""


def next_roster(plan: Plan, documents: Documents, observed: Observed) -> Roster:
    """Say what the roster should say now; the published one comes back when it says that already.

    An empty token asks for a fresh one. What exists and is no longer described stays as it was published: a node while
    it has a droplet or may be a member of etcd, and a node's key while its droplet is the one that has it.
    """
    published = observed.roster
    here = placed(plan, observed)
    written = compose(
        plan,
        generation=next_generation(max(observed.seen, published.generation if published else 0), now=observed.time),
        time=observed.time,
        endpoints={name: IPv4Address(droplet.private) for name, droplet in here.items() if droplet.private},
        etcd=_etcd(plan, observed),
        addons_sha256=documents.addons,
        secrets_sha256=documents.secrets or None,
        state_access=access_in_force(plan, documents, observed),
        public={name: IPv4Address(one.ip) for name, one in addresses.kept(plan, observed).items()},
    )
    if published:
        # What a living cluster was founded with is a fact; the description may say something else by now.
        nodes = (*_with_their_keys(plan, documents, observed, written, published), *_left(plan, observed, published))
        lives = bool(observed.droplets) or existing(plan, observed)
        written = replace(written, founding=published.founding if lives else written.founding, nodes=nodes)
    if published and written == replace(published, generation=written.generation, time=written.time):
        return published
    return written


def access_in_force(plan: Plan, documents: Documents, observed: Observed) -> str | None:
    """Give the digest of the sealed way to the bucket for snapshots whose key works; None where nothing is there.

    A key of the user's own is in no list of the account: of what is sealed of it the documents know the digest, or,
    where the keys are not at hand, nobody but the store.
    """
    found = observed.of(STATE_ACCESS)
    if plan.state_key is not None:
        wanted = documents.state_access or next(iter(sorted(found.sealed)), None)
        return wanted if wanted in found.sealed else None
    keys = found.keys or frozenset()
    return next((digest for digest, key in sorted(found.sealed.items()) if key in keys), None)


def changes(plan: Plan, documents: Documents, observed: Observed) -> tuple[str, ...]:
    """Say in words what the next generation changes; nothing when the published one stays."""
    before, after = observed.roster, next_roster(plan, documents, observed)
    if observed.rolled_back is not None:
        was = f"somebody put back generation {observed.rolled_back.generation}, {observed.seen} was there"
        return (f"{was}; etcd is {after.etcd.state}",)
    if before is None:
        return (f"the first, etcd is {after.etcd.state}",)
    words = []
    if before.addons != after.addons:
        words.append("addons")
    if before.founding != after.founding:
        words.append("what it is founded with")
    if before.secrets != after.secrets:
        words.append("secrets of addons")
    if before.state_access != after.state_access:
        words.append("the way of snapshots")
    if before.etcd.state != after.etcd.state:
        words.append("etcd has its quorum")
    elif before.etcd != after.etcd:
        words.append("more time to form etcd")
    old = {entry.name: entry for entry in before.nodes}
    for entry in after.nodes:
        known = old.pop(entry.name, None)
        if known is not None and known.public != entry.public:
            words.append(f"{entry.name} keeps {entry.public}" if entry.public else f"{entry.name} keeps no address")
        if known is None or replace(known, endpoint=entry.endpoint, public=entry.public) != entry:
            words.append(f"{entry.name} is new or has a new key")
        elif known.endpoint != entry.endpoint:
            words.append(f"{entry.name} is at {entry.endpoint}" if entry.endpoint else f"{entry.name} is gone")
    return (*words, *(f"{name} is no longer planned" for name in old))


def _with_their_keys(
    plan: Plan, documents: Documents, observed: Observed, written: Roster, published: Roster
) -> Iterator[Entry]:
    """Give the planned nodes that may be named, each with the key that its present droplet has."""
    before = {entry.name: entry.wireguard for entry in published.nodes}
    here = placed(plan, observed)
    counts = not existing(plan, observed) or membership(plan, observed).is_told
    for entry in written.nodes:
        droplet = here.get(entry.name)
        if droplet is None and entry.name not in before and entry.role == "control-plane" and not counts:
            continue  # by the roster it would count as a member as long as nobody tells who is one
        is_other = droplet is not None and plan.document_tag(documents.nodes[entry.name]) not in droplet.tags
        yield replace(entry, wireguard=before[entry.name]) if is_other and entry.name in before else entry


def _left(plan: Plan, observed: Observed, published: Roster) -> Iterator[Entry]:
    """Give the nodes that left the description and are there still, or may be members of etcd."""
    planned = {node.name for node in plan.nodes}
    theirs = {node_of(plan, droplet): droplet for droplet in observed.droplets}
    known = membership(plan, observed)
    for entry in published.nodes:
        droplet = theirs.get(entry.name)
        may_vote = entry.role == "control-plane" and entry.name in known.names and existing(plan, observed)
        if entry.name not in planned and (droplet is not None or may_vote):
            yield replace(entry, endpoint=IPv4Address(droplet.private) if droplet and droplet.private else None)


def _etcd(plan: Plan, observed: Observed) -> Etcd:
    state: EtcdState = "existing" if existing(plan, observed) else "new"
    until = observed.time.replace(microsecond=0) + FORMING
    if observed.roster is None:
        return Etcd(state, "", until)
    known = observed.roster.etcd
    if known.state == "restoring":
        return replace(known, state=state, snapshot=None) if state == "existing" else known
    if state == "existing" or known.new_until - observed.time >= RENEWED:
        return replace(known, state=state)
    # Nobody has formed a cluster yet. The token stays while a droplet may have read it.
    here = placed(plan, observed)
    return Etcd(state, known.token if any(node.name in here for node in plan.control_planes) else "", until)
