"""The bucket: made when it is missing, never deleted; only what lies below the cluster's prefix is ours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from generator.cluster.kinds.kind import Action, Case, Kind, Lookup, Removal, Work
from generator.cluster.observed import Found, Observed
from generator.plan import names
from generator.provider.spaces import Settings, Spaces, Stored, Trouble

BUCKET_SETTINGS: Found[Settings | None] = Found("bucket", None)
WHO = {
    "AllUsers": "everybody",
    "all-users": "everybody",
    "AuthenticatedUsers": "everybody with any account",
    "authenticated-users": "everybody with any account",
}
"""The groups of access lists, as Spaces and as other stores write them."""
OTHER_BUCKET = "deleted bundles would stay readable; name another bucket in `spaces.bucket`"


@dataclass(frozen=True)
class Contents:
    """What lies below a cluster's prefix in its bucket; `is_proven` unless only the VPC's description names it."""

    bucket: str
    prefix: str
    objects: tuple[Stored, ...]
    is_proven: bool = True


class BucketKind(Kind[Settings | None]):
    """The bucket that the description names, of which nobody but its owner has anything."""

    name = "bucket"
    found = BUCKET_SETTINGS

    def look(self, lookup: Lookup) -> Settings | None:
        """Read what it is set to, if it is there."""
        return lookup.spaces.settings() if lookup.objects is not None else None

    def refusals(self, case: Case) -> Iterator[Action]:
        """Find what is wider than planned; the bucket may be others' as well, so a launch changes none of it."""
        found, bucket = case.observed.of(BUCKET_SETTINGS) or Settings(), case.plan.spaces_bucket
        tool, of = names.spaces_tool(case.plan.spaces_region), f"--bucket {bucket}"
        for grantee, permission in found.grants:
            why = f"its access list gives {permission} to {WHO.get(grantee, grantee)}"
            yield self.action("refuse", bucket, why, hint=f"`{tool} put-bucket-acl {of} --acl private`")
        for origins in found.cors:
            why = f"its CORS rules let pages of {origins} ask"
            yield self.action("refuse", bucket, why, hint=f"`{tool} delete-bucket-cors {of}`")
        if found.versioning:
            why = f"it keeps old versions of its objects (versioning is {found.versioning.lower()})"
            yield self.action("refuse", bucket, why, hint=OTHER_BUCKET)

    def differences(self, case: Case) -> Iterator[Action]:
        """Find that it is missing."""
        if case.observed.of(BUCKET_SETTINGS) is None:
            yield self.action("create", case.plan.spaces_bucket)

    def apply(self, action: Action, work: Work, observed: Observed) -> Observed:  # noqa: ARG002
        """Make it."""
        work.spaces.create_bucket()
        return observed.having(BUCKET_SETTINGS, work.spaces.settings())

    def remains(self, removal: Removal) -> Sequence[Contents]:
        """List the cluster's objects, and find out whether they are."""
        removal.objects = None
        with removal.noting_trouble():
            if removal.spaces is not None and removal.spaces.bucket_exists():
                _refuse_versions(removal.spaces)
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


def _refuse_versions(spaces: Spaces) -> None:
    """Stop where a deleted object would stay readable: nothing could be called gone."""
    if versioning := spaces.settings().versioning:
        message = f"it keeps old versions of its objects (versioning is {versioning.lower()})"
        raise Trouble(message, where=f"bucket {spaces.bucket}", hint="delete the objects with all their versions")


BUCKET = BucketKind()
