"""The SSH key that every droplet is made with: nobody has its private half; without one, passwords are mailed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from generator.cluster.kinds.kind import Action, Case, Kind, Lookup, Removal, Work
from generator.cluster.observed import Found, Observed
from generator.plan import names
from generator.plan.decide import Node
from generator.provider import answers, ssh_key
from generator.provider.digitalocean import Cloud, Collection
from generator.provider.resources import SshKey

COLLECTION = Collection("ssh_keys", "ssh_key", answers.ssh_key)
SSH_KEYS: Found[tuple[SshKey, ...]] = Found("ssh keys", ())


def listed(cloud: Cloud, name: str) -> tuple[SshKey, ...]:
    """List the registered public keys of that name; the API allows this ten times a minute."""
    return tuple(sorted((key for key in cloud.list(COLLECTION) if key.name == name), key=lambda key: key.id))


def make(cloud: Cloud, name: str, public_key: str, fingerprint: str) -> SshKey:
    """Register a public key, or find it by its fingerprint after an unclear attempt."""
    where = f"ssh key {name}"
    body = {"name": name, "public_key": public_key}
    return cloud.create(COLLECTION, body, where, lambda: cloud.find(COLLECTION, fingerprint, where))


def erase(cloud: Cloud, key: SshKey) -> None:
    """Delete a registered public key, if it is still there."""
    cloud.delete(COLLECTION, key.id, f"ssh key {key.name}")


class SshKeyKind(Kind[tuple[SshKey, ...]]):
    """One key, registered under the cluster's name."""

    name = "ssh key"
    found = SSH_KEYS

    def look(self, lookup: Lookup) -> tuple[SshKey, ...]:
        """List the keys of the cluster's name."""
        return listed(lookup.cloud, names.object_name(lookup.plan.name))

    def surplus(self, case: Case) -> Iterator[Action]:
        """Find all but the first."""
        for key in case.observed.of(SSH_KEYS)[1:]:
            yield self.action("delete", key.name, "a second one", key.id)

    def differences(self, case: Case) -> Iterator[Action]:
        """Find that there is none."""
        if not case.observed.of(SSH_KEYS):
            why = "nobody has its private half; without one, passwords are mailed"
            yield self.action("create", names.object_name(case.plan.name), why)

    def apply(self, action: Action, work: Work, observed: Observed) -> Observed:
        """Make a key whose private half is thrown away, or delete a second one."""
        if action.verb == "create":
            fresh = ssh_key.throw_away()
            return observed.having(SSH_KEYS, (make(work.cloud, action.name, fresh.line, fresh.fingerprint),))
        gone = next(one for one in observed.of(SSH_KEYS) if str(one.id) == action.id)
        erase(work.cloud, gone)
        return observed.having(SSH_KEYS, tuple(one for one in observed.of(SSH_KEYS) if one != gone))

    def order(self, node: Node, work: Work, observed: Observed) -> Mapping[str, Any]:  # noqa: ARG002
        """Have the droplet take the key."""
        return {"ssh_keys": [observed.of(SSH_KEYS)[0].id]}

    def remains(self, removal: Removal) -> Sequence[SshKey]:
        """List the keys of the cluster's name."""
        return listed(removal.cloud, removal.name)

    def lines(self, remains: Sequence[SshKey]) -> Iterator[str]:
        """Name them."""
        yield from (f"ssh key  {key.name}" for key in remains)

    def remove(self, remains: Sequence[SshKey], removal: Removal) -> None:
        """Delete them."""
        for key in remains:
            removal.say(f"delete ssh key {key.name}")
            erase(removal.cloud, key)


SSH_KEY = SshKeyKind()
