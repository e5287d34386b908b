"""The bucket's lifecycle rule by which sealed bundles that nobody fetched die."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from generator.cluster import expiry_rules
from generator.cluster.expiry_rules import Rule
from generator.cluster.kinds.kind import Action, Case, Kind, Lookup, Removal, Work
from generator.cluster.observed import Found, Observed
from generator.plan import names

RULES: Found[tuple[Rule, ...] | None] = Found("expiry", ())


class ExpiryKind(Kind["tuple[Rule, ...] | None"]):
    """One rule of ours; those of others stay. None is found where the store knows no rules."""

    name = "expiry"
    found = RULES

    def look(self, lookup: Lookup) -> tuple[Rule, ...] | None:
        """Read the rules."""
        return lookup.spaces.lifecycle() if lookup.objects is not None else ()

    def refusals(self, case: Case) -> Iterator[Action]:
        """Find rules of others that would delete what is the cluster's."""
        bucket, tool = case.plan.spaces_bucket, names.spaces_tool(case.plan.spaces_region)
        rules = case.observed.of(RULES)
        for why in expiry_rules.destructive(rules or (), case.plan.name):
            hint = f"give that rule another prefix: `{tool} put-bucket-lifecycle-configuration --bucket {bucket}`"
            yield self.action("refuse", bucket, why, hint=hint)

    def differences(self, case: Case) -> Iterator[Action]:
        """Find that bundles would not expire, or that something else of the cluster would."""
        rules, bucket = case.observed.of(RULES), case.plan.spaces_bucket
        if rules is None:
            yield self.action("keep", bucket, "knows no lifecycle rules: left-over bundles stay until the next launch")
        elif not expiry_rules.is_planned(rules, case.plan.name):
            yield self.action("update", bucket, f"{expiry_rules.words(expiry_rules.planned(case.plan.name))} in a day")

    def apply(self, action: Action, work: Work, observed: Observed) -> Observed:  # noqa: ARG002
        """Put the rule beside those of others."""
        cluster, before = work.plan.name, observed.of(RULES)
        rules = (*expiry_rules.foreign(before or (), cluster), expiry_rules.planned(cluster))
        work.spaces.put_lifecycle(rules)
        return observed.having(RULES, rules)

    def remains(self, removal: Removal) -> Sequence[Rule]:
        """List the rules that are the cluster's own."""
        if removal.spaces is None or removal.objects is None or not removal.owns(removal.objects):
            return ()
        with removal.noting_trouble():
            return expiry_rules.own(removal.spaces.lifecycle() or (), removal.cluster)
        return ()

    def lines(self, remains: Sequence[Rule]) -> Iterator[str]:
        """Say what they are for."""
        yield from (f"expiry   {expiry_rules.words(rule)}" for rule in remains)

    def remove(self, remains: Sequence[Rule], removal: Removal) -> None:
        """Take them away."""
        if removal.trouble or removal.spaces is None or not remains:
            return
        with removal.noting_trouble():
            removal.spaces.put_lifecycle(expiry_rules.foreign(removal.spaces.lifecycle() or (), removal.cluster))


EXPIRY = ExpiryKind()
