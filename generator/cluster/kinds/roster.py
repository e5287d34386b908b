"""The published roster: read by every node at boot and on a timer, signed anew at each change."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import replace

from generator.cluster import crowd
from generator.cluster.founded import contradictions
from generator.cluster.kinds.kind import Action, Case, Kind, Lookup, Work
from generator.cluster.next_roster import changes, next_roster
from generator.cluster.observed import ROSTER as PUBLISHED
from generator.cluster.observed import Observed
from generator.documents.roster import LIMIT_BYTES, Roster, payload, sign, verify
from generator.plan import names
from generator.plan.decide import Plan


class RosterKind(Kind[Roster | None]):
    """One object below the public prefix."""

    name = "roster"
    found = PUBLISHED

    def changes_by_itself(self, plan: Plan, observed: Observed) -> bool:  # noqa: ARG002
        """Tell that it does."""
        return True

    def look(self, lookup: Lookup) -> Roster | None:
        """Read what is published.

        Raises:
            Problem: it is not signed by this cluster's operator.
        """
        plan = lookup.plan
        if lookup.objects is None:
            return None
        body = lookup.spaces.get(names.roster_key(plan.public_prefix), limit_bytes=LIMIT_BYTES)
        return None if body is None else verify(body, plan.operator_public_key, cluster_id=plan.cluster_id)

    def refusals(self, case: Case) -> Iterator[Action]:
        """Find what a living cluster was made with and the description says otherwise."""
        if case.observed.roster is not None and case.observed.droplets:
            for one in contradictions(case.plan, case.observed, case.observed.roster):
                yield self.action("refuse", case.plan.name, one.message, hint=one.hint)

    def differences(self, case: Case) -> Iterator[Action]:
        """Find that another one is due."""
        why = changes(case.plan, case.documents, case.observed)
        if why:
            yield self.action("publish", case.plan.name, crowd.named(why, crowd.LINES))

    def apply(self, action: Action, work: Work, observed: Observed) -> Observed:  # noqa: ARG002
        """Sign and publish the next one."""
        plan = work.plan
        roster = next_roster(plan, work.launchable.documents, observed)
        if not roster.etcd.token:
            roster = replace(roster, etcd=replace(roster.etcd, token=f"hardway-{secrets.token_hex(16)}"))
        signed = sign(payload(roster), work.launchable.store.operator_key)
        work.spaces.put(names.roster_key(plan.public_prefix), signed, content_type="application/json")
        return observed.having(PUBLISHED, roster)


ROSTER = RosterKind()
