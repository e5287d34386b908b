"""The statement of the bucket's policy that lets anyone read below the cluster's public prefix."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from generator.cluster.kinds.kind import Action, Case, Kind, Lookup, Removal, Work
from generator.cluster.observed import Found, Observed
from generator.plan import names

PUBLIC: Found[tuple[str, ...]] = Found("public prefixes", ())


class PolicyKind(Kind[tuple[str, ...]]):
    """One statement of ours; those of others stay."""

    name = "policy"
    found = PUBLIC

    def look(self, lookup: Lookup) -> tuple[str, ...]:
        """List the prefixes that anyone may read."""
        return lookup.spaces.public_prefixes() if lookup.objects is not None else ()

    def differences(self, case: Case) -> Iterator[Action]:
        """Find that the public prefix is not readable."""
        if case.plan.public_prefix not in case.observed.of(PUBLIC):
            yield self.action("update", case.plan.spaces_bucket, f"anyone may read {case.plan.public_prefix}/*")

    def apply(self, action: Action, work: Work, observed: Observed) -> Observed:  # noqa: ARG002
        """Let anyone read below the public prefix."""
        work.spaces.allow_public_read(work.plan.public_prefix)
        return observed.having(PUBLIC, (work.plan.public_prefix,))

    def remains(self, removal: Removal) -> Sequence[str]:
        """List the prefixes of this cluster that anyone may read."""
        if removal.spaces is None or removal.objects is None or not removal.owns(removal.objects):
            return ()
        with removal.noting_trouble():
            return [one for one in removal.spaces.public_prefixes() if one.startswith(names.prefix(removal.cluster))]
        return ()

    def lines(self, remains: Sequence[str]) -> Iterator[str]:
        """Name them."""
        yield from (f"policy   anyone may read {prefix}/*" for prefix in remains)

    def remove(self, remains: Sequence[str], removal: Removal) -> None:
        """Withdraw what was allowed."""
        if removal.trouble or removal.spaces is None or not remains:
            return
        with removal.noting_trouble():
            removal.spaces.withdraw_public_read(removal.cluster)


POLICY = PolicyKind()
