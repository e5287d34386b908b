"""The sealed bundles: one for each droplet that has not fetched its secrets yet."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from generator.clock import moment, stamp
from generator.cluster.kinds.kind import Action, Case, Kind, Lookup, Work
from generator.cluster.matching import ready, reported
from generator.cluster.memory import Memory
from generator.cluster.observed import BUNDLES, Bundle, Observed
from generator.pki import bundle
from generator.plan import names
from generator.plan.decide import Plan
from generator.plan.node import Node
from generator.provider.spaces import LONGEST_URL, Spaces, Stored


@dataclass(frozen=True)
class Sealed:
    """Where a node finds its sealed bundle until when, and the key that opens it."""

    url: str = field(repr=False)
    key: bytes = field(repr=False)
    expires: datetime


def listed(spaces: Spaces, cluster: str, objects: Sequence[Stored], memory: Memory) -> tuple[Bundle, ...]:
    """Read which bundles lie in the bucket, and until when their addresses work; what is none has no node."""
    found = []
    for stored in objects:
        if not stored.key.startswith(names.bundles_prefix(cluster)):
            continue
        expires = stored.modified + LONGEST_URL
        facts = memory.once(stored, partial(spaces.facts, stored.key)) or {}
        if "expires" in facts:
            with suppress(ValueError):
                expires = min(expires, moment(facts["expires"]))
        found.append(Bundle(stored.key, names.bundle_node(cluster, stored.key) or "", stored.modified, expires))
    return tuple(found)


def seal(node: Node, work: Work) -> Sealed:
    """Seal a node's secrets with a fresh key, and put them where only its droplet finds them."""
    plan = work.plan
    key = secrets.token_bytes(bundle.KEY_BYTES)
    content = bundle.node_bundle(plan, node, work.launchable.store)
    place = names.bundle_key(plan.name, node.name, secrets.token_hex(16))
    expires = work.clock.now() + work.lifetime
    sealed = bundle.seal(content, key, plan.cluster_id, node.name)
    work.spaces.put(place, sealed, facts={"expires": stamp(expires)})
    return Sealed(work.spaces.presign_get(place, work.lifetime), key, expires)


class BundleKind(Kind[tuple[Bundle, ...]]):
    """Bundles are made with their droplets, and go when these have fetched them."""

    name = "bundle"
    found = BUNDLES

    def changes_by_itself(self, plan: Plan, observed: Observed) -> bool:  # noqa: ARG002
        """Tell that it does."""
        return True

    def look(self, lookup: Lookup) -> tuple[Bundle, ...]:
        """Read which lie in the bucket."""
        return listed(lookup.spaces, lookup.plan.name, lookup.objects or (), lookup.memory)

    def differences(self, case: Case) -> Iterator[Action]:
        """Find those that no droplet will fetch any more.

        The last one of a node whose droplet has yet to come up stays, though its address has expired: that it is there
        shows that the droplet hasn't fetched it.
        """
        planned = {node.name: node for node in case.plan.nodes}
        newest = {one.node: one.modified for one in sorted(case.observed.bundles, key=lambda one: one.modified)}
        for one in case.observed.bundles:
            node, droplet = planned.get(one.node), case.here.get(one.node)
            if node is None:
                yield self.action("delete", one.key, "its node is not planned" if one.node else "it is nobody's")
            elif one.expires < case.observed.time and (droplet is None or one.modified < newest[one.node]):
                yield self.action("delete", one.key, "its address has expired")
            elif droplet and (reported(node, droplet, case.observed, "secrets") or ready(node, droplet, case.observed)):
                yield self.action("delete", one.key, "its node has it")

    def apply(self, action: Action, work: Work, observed: Observed) -> Observed:
        """Delete one."""
        work.spaces.delete(action.name)
        return observed.having(BUNDLES, tuple(one for one in observed.bundles if one.key != action.name))


BUNDLE = BundleKind()
