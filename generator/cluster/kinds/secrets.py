"""The sealed archive of what addons keep secret: beside the addons, opened by control-plane nodes alone."""

from __future__ import annotations

from collections.abc import Iterator

from generator.cluster.kinds.kind import Action, Case, Kind, Lookup, Work
from generator.cluster.observed import Found, Observed
from generator.plan import names

SEALED: Found[frozenset[str]] = Found("secrets", frozenset())


class SecretsKind(Kind[frozenset[str]]):
    """One archive; what is found are the digests of all that lie there. What no roster pins any more goes."""

    name = "secrets"
    found = SEALED

    def look(self, lookup: Lookup) -> frozenset[str]:
        """List the digests of those that are there."""
        start, end = names.sealed_key(lookup.plan.public_prefix, "\n").split("\n")
        keys = [one.key for one in lookup.objects or () if one.key.startswith(start) and one.key.endswith(end)]
        return frozenset(key.removeprefix(start).removesuffix(end) for key in keys)

    def differences(self, case: Case) -> Iterator[Action]:
        """Find that the reviewed one is missing, and others that the published roster has replaced."""
        wanted, there = case.documents.secrets, case.observed.of(SEALED)
        if wanted and wanted not in there:
            yield self.action("upload", names.sealed_name(wanted))
        roster = case.observed.roster
        if roster is not None and roster.secrets == wanted:
            for digest in sorted(there - {wanted}):
                yield self.action("delete", names.sealed_name(digest), "the roster has others now")

    def apply(self, action: Action, work: Work, observed: Observed) -> Observed:
        """Upload it, or delete an old one."""
        digest, public = work.launchable.documents.secrets, work.plan.public_prefix
        if action.verb == "delete":
            work.spaces.delete(f"{public}/{action.name}")
            left = {one for one in observed.of(SEALED) if names.sealed_name(one) != action.name}
            return observed.having(SEALED, frozenset(left))
        work.spaces.put(names.sealed_key(public, digest), work.launchable.secrets)
        return observed.having(SEALED, observed.of(SEALED) | {digest})


SECRETS = SecretsKind()
