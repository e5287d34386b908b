"""The bucket: made when it is missing, never deleted; only what lies below the cluster's prefix is ours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from generator.cluster.kinds.kind import Action, Case, Kind, Lookup, Removal, Work
from generator.cluster.observed import Found, Observed
from generator.plan import names
from generator.provider.spaces import Stored

HAS_BUCKET: Found[bool] = Found("bucket", False)


class BucketKind(Kind[bool]):
    """The bucket that the description names; whether it is there is all that is found of it."""

    name = "bucket"
    found = HAS_BUCKET

    def look(self, lookup: Lookup) -> bool:
        """Tell whether it is there."""
        return lookup.objects is not None

    def differences(self, case: Case) -> Iterator[Action]:
        """Find that it is missing."""
        if not case.observed.of(HAS_BUCKET):
            yield self.action("create", case.plan.spaces_bucket)

    def apply(self, action: Action, work: Work, observed: Observed) -> Observed:  # noqa: ARG002
        """Make it."""
        work.spaces.create_bucket()
        return observed.having(HAS_BUCKET, True)

    def remains(self, removal: Removal) -> Sequence[Stored]:
        """List the cluster's objects."""
        removal.objects = None
        with removal.noting_trouble():
            if removal.spaces is not None and removal.spaces.bucket_exists():
                removal.objects = removal.spaces.objects(names.prefix(removal.cluster))
        return removal.objects or ()

    def lines(self, remains: Sequence[Stored]) -> Iterator[str]:
        """Count them."""
        if remains:
            yield f"objects  {len(remains)}, {sum(one.size for one in remains):,} bytes"

    def remove(self, remains: Sequence[Stored], removal: Removal) -> None:  # noqa: ARG002
        """Delete the cluster's objects as they are now, but for the launch lock that the removal itself holds."""
        spaces, prefix = removal.spaces, names.prefix(removal.cluster)
        if removal.trouble or spaces is None:
            return
        with removal.noting_trouble():
            if spaces.bucket_exists():
                removal.say(f"delete objects below {prefix} in bucket {spaces.bucket}")
                for stored in spaces.objects(prefix):
                    if stored.key != names.lock_key(removal.cluster):
                        spaces.delete(stored.key)


BUCKET = BucketKind()
