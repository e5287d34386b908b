"""The bucket for snapshots and dumps: made when it is missing, never deleted, and nobody's but its owner's.

It is not the first one: a key that is limited to buckets can't be had for one with a policy.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from generator.cluster import expiry_rules
from generator.cluster.kinds.kind import Action, Case, Kind, Lookup, Work
from generator.cluster.observed import Found, Observed
from generator.plan import names

PUBLIC = ("AllUsers", "all-users", "AuthenticatedUsers", "authenticated-users")
"""The groups of access lists that are open, as Spaces and as other stores write them."""


@dataclass(frozen=True)
class StateBucket:
    """What the bucket is set to: `grants` are those of its access list to others, `expiring` what rules delete."""

    grants: tuple[tuple[str, str], ...] = ()
    has_policy: bool = False
    expiring: tuple[str, ...] = ()


STATE_BUCKET: Found[StateBucket | None] = Found("state bucket", None)


class StateBucketKind(Kind["StateBucket | None"]):
    """The bucket that the description names for what outlives all nodes."""

    name = "state"
    found = STATE_BUCKET

    def look(self, lookup: Lookup) -> StateBucket | None:
        """Read what it is set to, if it is there."""
        state = lookup.state
        if not state.bucket_exists():
            return None
        expiring = tuple(expiry_rules.destructive(state.lifecycle() or (), lookup.plan.name))
        return StateBucket(state.settings().grants, state.policy() is not None, expiring)

    def refusals(self, case: Case) -> Iterator[Action]:
        """Find what opens it, keeps a limited key from it, or deletes what is in it."""
        found, bucket = case.observed.of(STATE_BUCKET) or StateBucket(), case.plan.state_bucket
        tool, of = names.spaces_tool(case.plan.spaces_region), f"--bucket {bucket}"
        for grantee, permission in found.grants:
            if grantee in PUBLIC:
                why = f"its access list gives {permission} to everybody"
                yield self.action("refuse", bucket, why, hint=f"`{tool} put-bucket-acl {of} --acl private`")
        if found.has_policy:
            hint = f"`{tool} delete-bucket-policy {of}`, or name another bucket in `spaces.state`"
            yield self.action("refuse", bucket, "has a policy, so no key can be limited to it", hint=hint)
        for why in found.expiring:
            hint = f"give that rule another prefix: `{tool} put-bucket-lifecycle-configuration {of}`"
            yield self.action("refuse", bucket, why, hint=hint)

    def differences(self, case: Case) -> Iterator[Action]:
        """Find that it is missing."""
        if case.observed.of(STATE_BUCKET) is None:
            yield self.action("create", case.plan.state_bucket, "for sealed snapshots and dumps")

    def apply(self, action: Action, work: Work, observed: Observed) -> Observed:  # noqa: ARG002
        """Make it."""
        work.state.create_bucket()
        return observed.having(STATE_BUCKET, StateBucket())


STATE = StateBucketKind()
