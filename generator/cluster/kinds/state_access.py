"""The way by which control-plane nodes write snapshots: a Spaces key for that bucket alone, sealed for them.

Its secret is told once, when it is made, and is kept nowhere but in what is sealed: a key whose secret was lost on the
way is deleted, and another one is made.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from hashlib import sha256

from generator.cluster.kinds.kind import Action, Case, Kind, Lookup, Removal, Work
from generator.cluster.next_roster import access_in_force
from generator.cluster.observed import STATE_ACCESS, Observed, StateAccess
from generator.errors import Problem
from generator.pki import state_key
from generator.plan import names
from generator.plan.decide import Plan
from generator.provider import answers
from generator.provider.digitalocean import Cloud, Collection
from generator.provider.resources import SpacesKey
from generator.provider.retry import Refused

COLLECTION = Collection("spaces_key", "key", answers.spaces_key, lists="keys")
PERMISSION = "readwrite"
DENIED = (401, 403, 404)
"""What the API answers where the token may not, or where an account has no such keys."""
ID = "access-key"
"""Kept beside what is sealed: the id of its key, which is no secret."""


def listed(cloud: Cloud, name: str) -> tuple[SpacesKey, ...] | None:
    """List the account's keys of that name; None where the token may not."""
    try:
        return tuple(one for one in cloud.list(COLLECTION) if one.name == name)
    except Refused as error:
        if error.status in DENIED:
            return None
        raise


class StateAccessKind(Kind[StateAccess]):
    """One key and what is sealed of it; a key of the user's own is sealed likewise."""

    name = "access"
    found = STATE_ACCESS

    def look(self, lookup: Lookup) -> StateAccess:
        """List what is sealed, and the keys that the account has for it."""
        start, end = names.state_access_key(lookup.plan.public_prefix, "\n").split("\n")
        places = [one.key for one in lookup.objects or () if one.key.startswith(start) and one.key.endswith(end)]
        sealed = {
            place.removeprefix(start).removesuffix(end): (lookup.spaces.facts(place) or {}).get(ID, "")
            for place in places
        }
        keys = listed(lookup.cloud, names.state_key_name(lookup.plan.name))
        right = {one.id for one in keys or () if one.grants == ((lookup.plan.state_bucket, PERMISSION),)}
        others = frozenset(one.id for one in keys or () if one.id not in right)
        return StateAccess(sealed, None if keys is None else frozenset(right), others)

    def refusals(self, case: Case) -> Iterator[Action]:
        """Find that no key can be made, and none is named."""
        if case.plan.state_key is None and case.observed.of(STATE_ACCESS).keys is None:
            why = "the token may not make Spaces keys, so no node could write snapshots"
            hint = (
                "give the token `spaces_key` (create_credentials, read, delete), or make a key that may read and write"
                f" in {case.plan.state_bucket} alone, and name the file that holds it in `spaces.state_key`"
            )
            yield self.action("refuse", names.state_key_name(case.plan.name), why, hint=hint)

    def surplus(self, case: Case) -> Iterator[Action]:
        """Find keys whose secret nobody has, and what is sealed of others than the one in force."""
        found, name = case.observed.of(STATE_ACCESS), names.state_key_name(case.plan.name)
        for one in sorted(found.others):
            yield self.action("delete", name, "is not for the bucket of snapshots alone", one)
        for one in sorted((found.keys or frozenset()) - set(found.sealed.values())):
            yield self.action("delete", name, "nobody has its secret", one)
        roster, force = case.observed.roster, access_in_force(case.plan, case.documents, case.observed)
        if roster is not None and roster.state_access == force:
            for digest in sorted(found.sealed.keys() - {force}):
                yield self.action("delete", names.state_access_name(digest), "the roster has another now")

    def differences(self, case: Case) -> Iterator[Action]:
        """Find that there is none."""
        if access_in_force(case.plan, case.documents, case.observed) is not None:
            return
        if case.plan.state_key is not None:
            yield self.action("upload", names.state_access_name(case.documents.state_access))
        elif case.observed.of(STATE_ACCESS).keys is not None:
            why = f"a Spaces key for {case.plan.state_bucket} alone, sealed for control-plane nodes"
            yield self.action("create", names.state_key_name(case.plan.name), why)

    def apply(self, action: Action, work: Work, observed: Observed) -> Observed:
        """Make a key and seal it, seal the user's own, or remove what is not in force."""
        found, spaces, public = observed.of(STATE_ACCESS), work.spaces, work.plan.public_prefix
        if action.verb == "delete" and action.id:
            work.cloud.delete(COLLECTION, action.id, action.where)
            left = StateAccess(found.sealed, (found.keys or frozenset()) - {action.id}, found.others - {action.id})
            return observed.having(STATE_ACCESS, left)
        if action.verb == "delete":
            spaces.delete(f"{public}/{action.name}")
            sealed = {one: key for one, key in found.sealed.items() if names.state_access_name(one) != action.name}
            return observed.having(STATE_ACCESS, replace(found, sealed=sealed))
        if action.verb == "upload":
            identifier, content, keys = work.launchable.state_key_id, work.launchable.state_access, found.keys
        else:
            key = make(work.cloud, work.plan, action.where)
            if key.secret is None:
                raise Problem("the answer holds no secret", where=action.where, hint="launch again; another is made")
            text = state_key.text(work.plan, spaces.endpoint, state_key.Credential(key.id, key.secret))
            identifier, content = key.id, work.launchable.store.sealed_access(text)
            keys = (found.keys or frozenset()) | {key.id}
        digest = sha256(content).hexdigest()
        spaces.put(names.state_access_key(public, digest), content, facts={ID: identifier})
        return observed.having(STATE_ACCESS, replace(found, sealed={**found.sealed, digest: identifier}, keys=keys))

    def remains(self, removal: Removal) -> Sequence[SpacesKey]:
        """List the keys of the cluster's name."""
        return listed(removal.cloud, names.state_key_name(removal.cluster)) or ()

    def lines(self, remains: Sequence[SpacesKey]) -> Iterator[str]:
        """Name them, and the bucket that stays."""
        for one in remains:
            buckets = ", ".join(bucket for bucket, _ in one.grants)
            yield f"access   {one.name}, a Spaces key; the snapshots in {buckets} stay"

    def remove(self, remains: Sequence[SpacesKey], removal: Removal) -> None:
        """Delete them."""
        for one in remains:
            removal.say(f"delete Spaces key {one.name}")
            removal.cloud.delete(COLLECTION, one.id, f"Spaces key {one.name}")


def make(cloud: Cloud, plan: Plan, where: str) -> SpacesKey:
    """Make a key; one that an unclear attempt made is deleted first, for nobody has its secret."""
    name = names.state_key_name(plan.name)
    body = {"name": name, "grants": [{"bucket": plan.state_bucket, "permission": PERMISSION}]}
    before = {one.id for one in listed(cloud, name) or ()}

    def find() -> SpacesKey | None:
        for one in listed(cloud, name) or ():
            if one.id not in before:
                cloud.delete(COLLECTION, one.id, where)
        return None

    return cloud.create(COLLECTION, body, where, find, unique=False)


ACCESS = StateAccessKind()
