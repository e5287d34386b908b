"""The SSH key that every droplet is made with: nobody has its private half; without one, passwords are mailed.

Those that `debug` names are somebody's; they are the account's, and stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from generator.cluster.kinds.kind import Action, Case, Kind, Lookup, Removal, Work
from generator.cluster.observed import Found, Observed
from generator.plan import names
from generator.plan.decide import Plan
from generator.plan.node import Node
from generator.provider import answers, ssh_key
from generator.provider.digitalocean import Cloud, Collection
from generator.provider.resources import SshKey

COLLECTION = Collection("ssh_keys", "ssh_key", answers.ssh_key)
SSH_KEYS: Found[tuple[SshKey, ...]] = Found("ssh keys", ())
"""All of the account: `debug` names others'."""
SETTINGS = "https://cloud.digitalocean.com/account/security"
"""Where the provider's panel has an account's SSH keys."""


def every(cloud: Cloud) -> tuple[SshKey, ...]:
    """List the registered public keys, the oldest first; the API allows this ten times a minute."""
    return tuple(sorted(cloud.list(COLLECTION), key=lambda key: key.id))


def listed(cloud: Cloud, name: str) -> tuple[SshKey, ...]:
    """List the registered public keys of that name."""
    return named(every(cloud), name)


def named(keys: tuple[SshKey, ...], name: str) -> tuple[SshKey, ...]:
    """Give the keys of that name."""
    return tuple(key for key in keys if key.name == name)


def make(cloud: Cloud, name: str, public_key: str, fingerprint: str) -> SshKey:
    """Register a public key, or find it by its fingerprint after an unclear attempt."""
    where = f"ssh key {name}"
    body = {"name": name, "public_key": public_key}
    return cloud.create(COLLECTION, body, where, lambda: cloud.find(COLLECTION, fingerprint, where))


def erase(cloud: Cloud, key: SshKey) -> None:
    """Delete a registered public key, if it is still there."""
    cloud.delete(COLLECTION, key.id, f"ssh key {key.name}")


class SshKeyKind(Kind[tuple[SshKey, ...]]):
    """One key, registered under the cluster's name, beside those that `debug` names."""

    name = "ssh key"
    found = SSH_KEYS

    def look(self, lookup: Lookup) -> tuple[SshKey, ...]:
        """List the account's keys."""
        return every(lookup.cloud)

    def refusals(self, case: Case) -> Iterator[Action]:
        """Find that a droplet is to be made with a key that the account doesn't have, or has twice."""
        if case.plan.debug is None or all(node.name in case.here for node in case.plan.nodes):
            return
        own = names.object_name(case.plan.name)
        others = tuple(key for key in case.observed.of(SSH_KEYS) if key.name != own)
        for name in case.plan.debug.ssh_keys:
            found = named(others, name)
            if not found:
                known = ", ".join(dict.fromkeys(f"`{key.name}`" for key in others))
                has = f"the account's keys are {known}" if known else "the account has no key that is anybody's"
                hint = f"{has}; name one of the account in `debug.ssh_keys`, or add it: {SETTINGS}"
                yield self.action("refuse", name, "is in `debug.ssh_keys`, and not in the account", hint=hint)
            elif len(found) > 1:
                why = f"is in `debug.ssh_keys`, and {len(found)} keys of the account are called so"
                yield self.action("refuse", name, why, hint=f"give each a name of its own: {SETTINGS}")

    def surplus(self, case: Case) -> Iterator[Action]:
        """Find all but the first."""
        for key in _own(case.plan, case.observed)[1:]:
            yield self.action("delete", key.name, "a second one", key.id)

    def differences(self, case: Case) -> Iterator[Action]:
        """Find that there is none."""
        if not _own(case.plan, case.observed):
            why = "nobody has its private half; without one, passwords are mailed"
            yield self.action("create", names.object_name(case.plan.name), why)

    def apply(self, action: Action, work: Work, observed: Observed) -> Observed:
        """Make a key whose private half is thrown away, or delete a second one."""
        if action.verb == "create":
            fresh = ssh_key.throw_away()
            made = make(work.cloud, action.name, fresh.line, fresh.fingerprint)
            return observed.having(SSH_KEYS, (*observed.of(SSH_KEYS), made))
        gone = next(one for one in observed.of(SSH_KEYS) if str(one.id) == action.id)
        erase(work.cloud, gone)
        return observed.having(SSH_KEYS, tuple(one for one in observed.of(SSH_KEYS) if one != gone))

    def order(self, node: Node, work: Work, observed: Observed) -> Mapping[str, Any]:  # noqa: ARG002
        """Have the droplet take the key, and those of who debugs."""
        wanted = work.plan.debug.ssh_keys if work.plan.debug else ()
        theirs = [key for name in wanted for key in named(observed.of(SSH_KEYS), name)]
        return {"ssh_keys": [key.id for key in (_own(work.plan, observed)[0], *theirs)]}

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


def _own(plan: Plan, observed: Observed) -> tuple[SshKey, ...]:
    return named(observed.of(SSH_KEYS), names.object_name(plan.name))


SSH_KEY = SshKeyKind()
