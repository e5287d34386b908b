"""The canary: proves that the store does what nodes need of it, before the first droplet is paid for."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import timedelta

from generator import waiting
from generator.cluster.kinds.kind import Action, Case, Kind, Lookup, Work
from generator.cluster.observed import Found, Observed
from generator.errors import Problem, raise_all
from generator.plan import names
from generator.provider.spaces import Spaces
from generator.provider.visitor import NODES_HEADERS, Visitor

PROVEN: Found[bool] = Found("canary", False)
PATIENCE = (0.5, 1, 2, 4, 8, 15)
"""Seconds between looks: a bucket's policy is not in force everywhere at once."""
LIFETIME = timedelta(minutes=5)
OK, FORBIDDEN = 200, (401, 403)


class CanaryKind(Kind[bool]):
    """Two objects that live for a moment, one that anyone may read and one that nobody may."""

    name = "canary"
    found = PROVEN

    def look(self, lookup: Lookup) -> bool:  # noqa: ARG002
        """Take nothing for proven: the store may have changed since."""
        return False

    def differences(self, case: Case) -> Iterator[Action]:
        """Find that droplets are to be made, and nothing is proven yet."""
        if not case.observed.of(PROVEN) and any(node.name not in case.here for node in case.plan.nodes):
            yield self.action("create", case.plan.spaces_bucket, "proves what nodes need of the store, and goes")

    def apply(self, action: Action, work: Work, observed: Observed) -> Observed:  # noqa: ARG002
        """Put, read, write and delete as nodes and launches do.

        Raises:
            Problems: all that the store does otherwise.
        """
        keys = names.canary_keys(work.plan.name, work.plan.public_prefix)
        try:
            raise_all(_faults(work, *keys))
        finally:
            for key in keys:
                work.spaces.delete(key)
        return observed.having(PROVEN, True)


def _faults(work: Work, inside: str, outside: str) -> Iterator[Problem]:
    spaces, visitor = work.spaces, Visitor(work.cloud.connection)
    song = secrets.token_hex(16).encode()
    for key in (inside, outside):
        spaces.put(key, song)
    where = f"bucket {spaces.bucket}"

    def heard() -> bool | None:
        visit = visitor.ask("GET", spaces.url(inside))
        return True if (visit.status, visit.body) == (OK, song) else None

    if not waiting.until(heard, PATIENCE, work.clock.sleep):
        status = visitor.ask("GET", spaces.url(inside)).status
        message = f"anyone may read {inside}, and yet is answered {status}: nodes would not find their roster"
        yield Problem(message, where=where, hint=f"is the bucket's policy in force? {FULL_ACCESS}")
    if (status := visitor.ask("GET", spaces.url(outside)).status) not in FORBIDDEN:
        message = f"nobody may read {outside}, and yet who asks is answered {status}: sealed secrets would lie open"
        yield Problem(message, where=where, hint="name a bucket of its own in `spaces.bucket`, with file listing off")
    yield from _signed(spaces, visitor, outside, where)
    if spaces.put(outside, b"another", only_new=True):
        message = "If-None-Match is not heeded: two launches at once would not see each other"
        yield Problem(message, where=where, hint="name a bucket of another region in `spaces`")


def _signed(spaces: Spaces, visitor: Visitor, key: str, where: str) -> Iterator[Problem]:
    """Write by a signed address with a node's own headers, and read by another."""
    hint = "is this machine's clock right? addresses are signed for a time"
    song = secrets.token_hex(16).encode()
    status = visitor.ask("PUT", spaces.presign_put(key, LIFETIME), song, NODES_HEADERS).status
    if status != OK:
        yield Problem(f"a signed PUT is answered {status}: nodes could not report", where=where, hint=hint)
        return
    visit = visitor.ask("GET", spaces.presign_get(key, LIFETIME))
    if visit.status != OK:
        message = f"a signed GET is answered {visit.status}: nodes could not fetch their secrets"
        yield Problem(message, where=where, hint=hint)
    elif visit.body != song:
        yield Problem("a signed GET gives other bytes than were put a moment ago", where=where)


FULL_ACCESS = "its key needs full access, one that is limited to buckets can set no policy"
CANARY = CanaryKind()
