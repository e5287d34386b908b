"""The bucket's policy: anyone may read below the cluster's public prefix, and nobody else anything."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from generator.cluster import bucket_policy
from generator.cluster.bucket_policy import Place
from generator.cluster.kinds.kind import Action, Case, Kind, Lookup, Removal, Work
from generator.cluster.observed import Found, Observed
from generator.plan import names
from generator.plan.decide import Plan

POLICY_TEXT: Found[str | None] = Found("policy", None)


def place(plan: Plan) -> Place:
    """Say where in its bucket a cluster lies."""
    return Place(plan.spaces_bucket, names.prefix(plan.name), plan.public_prefix)


class PolicyKind(Kind[str | None]):
    """One statement of ours; those of others stay, and stop a launch where they reach what is ours."""

    name = "policy"
    found = POLICY_TEXT

    def look(self, lookup: Lookup) -> str | None:
        """Read it."""
        return lookup.spaces.policy() if lookup.objects is not None else None

    def refusals(self, case: Case) -> Iterator[Action]:
        """Find statements that are wider than planned and may be others' as well."""
        plan, text = case.plan, case.observed.of(POLICY_TEXT)
        tool = names.spaces_tool(plan.spaces_region)
        hint = f"take that out of the policy, others may need the rest: `{tool} get-bucket-policy`, `put-bucket-policy`"
        if bucket_policy.stands_alone(text, place(plan)):
            hint = f"`{tool} delete-bucket-policy --bucket {plan.spaces_bucket}`; the next launch puts its own"
        for why in bucket_policy.wider(text, place(plan)):
            yield self.action("refuse", plan.spaces_bucket, why, hint=hint)

    def differences(self, case: Case) -> Iterator[Action]:
        """Find that the public prefix is not readable, or that more is below the cluster's prefix."""
        plan, text = case.plan, case.observed.of(POLICY_TEXT)
        if not bucket_policy.is_planned(text, place(plan)):
            why = [f"anyone may read {plan.public_prefix}/*"]
            why += [f"no longer {one}" for one in bucket_policy.unplanned(text, place(plan))]
            yield self.action("update", plan.spaces_bucket, "; ".join(why))

    def apply(self, action: Action, work: Work, observed: Observed) -> Observed:  # noqa: ARG002
        """Let anyone read below the public prefix."""
        text = bucket_policy.mended(observed.of(POLICY_TEXT), place(work.plan))
        work.spaces.put_policy(text)
        return observed.having(POLICY_TEXT, text)

    def remains(self, removal: Removal) -> Sequence[str]:
        """List what anyone may do below this cluster's prefix."""
        if removal.spaces is None or removal.objects is None or not removal.owns(removal.objects):
            return ()
        with removal.noting_trouble():
            return bucket_policy.own(removal.spaces.policy(), self._place(removal, removal.spaces.bucket))
        return ()

    def lines(self, remains: Sequence[str]) -> Iterator[str]:
        """Name them."""
        yield from (f"policy   {one}" for one in remains)

    def remove(self, remains: Sequence[str], removal: Removal) -> None:
        """Withdraw what was allowed."""
        if removal.trouble or removal.spaces is None or not remains:
            return
        with removal.noting_trouble():
            where = self._place(removal, removal.spaces.bucket)
            removal.spaces.put_policy(bucket_policy.withdrawn(removal.spaces.policy(), where))

    @staticmethod
    def _place(removal: Removal, bucket: str) -> Place:
        return Place(bucket, names.prefix(removal.cluster), "")


POLICY = PolicyKind()
