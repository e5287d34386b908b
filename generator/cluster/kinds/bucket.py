"""The bucket: made when it is missing, never deleted; only what lies below the cluster's prefix is ours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from generator.cluster.kinds.kind import Action, Case, Kind, Lookup, Removal, Work
from generator.cluster.observed import Found, Observed
from generator.plan import names
from generator.provider.spaces import Stored

HAS_BUCKET: Found[bool] = Found("bucket", False)


@dataclass(frozen=True)
class Contents:
    """What lies below a cluster's prefix in its bucket; `is_proven` unless only the VPC's description names it."""

    bucket: str
    prefix: str
    objects: tuple[Stored, ...]
    is_proven: bool = True


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

    def remains(self, removal: Removal) -> Sequence[Contents]:
        """List the cluster's objects, and find out whether they are."""
        removal.objects = None
        with removal.noting_trouble():
            if removal.spaces is not None and removal.spaces.bucket_exists():
                removal.objects = removal.spaces.objects(names.prefix(removal.cluster))
        if not removal.objects or removal.spaces is None:
            return ()
        prefix = names.prefix(removal.cluster)
        return (Contents(removal.spaces.bucket, prefix, tuple(removal.objects), removal.owns(removal.objects)),)

    def stays(self, remains: Sequence[Contents], removal: Removal) -> bool:  # noqa: ARG002
        """Tell whether nothing shows that they are the cluster's."""
        return not all(found.is_proven for found in remains)

    def lines(self, remains: Sequence[Contents]) -> Iterator[str]:
        """Count them, and name their place."""
        for found in remains:
            size = sum(one.size for one in found.objects)
            stay = "" if found.is_proven else "; they stay, nothing there shows that they are this cluster's"
            yield f"objects  {len(found.objects)}, {size:,} bytes, below {found.prefix} in bucket {found.bucket}{stay}"

    def remove(self, remains: Sequence[Contents], removal: Removal) -> None:
        """Delete the cluster's objects as they are now, but for the launch lock that the removal itself holds.

        The roster goes last: while anything is there, it shows whose that is.
        """
        spaces, prefix = removal.spaces, names.prefix(removal.cluster)
        if removal.trouble or spaces is None or self.stays(remains, removal):
            return
        with removal.noting_trouble():
            if spaces.bucket_exists():
                removal.say(f"delete objects below {prefix} in bucket {spaces.bucket}")
                objects = spaces.objects(prefix)
                for stored in sorted(objects, key=lambda one: names.is_roster_key(one.key)):
                    if stored.key != names.lock_key(removal.cluster):
                        spaces.delete(stored.key)


BUCKET = BucketKind()
