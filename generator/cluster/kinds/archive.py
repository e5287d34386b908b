"""The archives that nodes fetch by digest, public and never changed: the addons and the agent."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from generator.cluster.kinds.kind import Action, Case, Kind, Lookup, Work
from generator.cluster.launchable import Documents, Launchable
from generator.cluster.observed import Found, Observed
from generator.plan import names


class ArchiveKind(Kind[frozenset[str]]):
    """One archive; what is found are the digests of all that lie beside it."""

    def __init__(self, name: str, digest: Callable[[Documents], str], content: Callable[[Launchable], bytes]) -> None:
        self.name = name
        self.found = Found(f"archives for {name}", frozenset())
        self._digest = digest
        self._content = content

    def look(self, lookup: Lookup) -> frozenset[str]:
        """List the digests of the archives that are there."""
        start, end = names.archive_key(lookup.plan.public_prefix, "\n").split("\n")
        keys = [one.key for one in lookup.objects or () if one.key.startswith(start) and one.key.endswith(end)]
        return frozenset(key.removeprefix(start).removesuffix(end) for key in keys)

    def differences(self, case: Case) -> Iterator[Action]:
        """Find that the reviewed one is missing."""
        digest = self._digest(case.documents)
        if digest and digest not in case.observed.of(self.found):
            yield self.action("upload", names.archive_name(digest))

    def apply(self, action: Action, work: Work, observed: Observed) -> Observed:  # noqa: ARG002
        """Upload it."""
        digest = self._digest(work.launchable.documents)
        key = names.archive_key(work.plan.public_prefix, digest)
        work.spaces.put(key, self._content(work.launchable), content_type="application/x-tar")
        return observed.having(self.found, observed.of(self.found) | {digest})


ADDONS = ArchiveKind("addons", lambda documents: documents.addons, lambda launchable: launchable.archive)
AGENT = ArchiveKind("agent", lambda documents: documents.agent, lambda launchable: launchable.agent)
