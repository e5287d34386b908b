"""Is the only module that touches `keys/`: loads what is there, fills gaps, never overwrites."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from generator.errors import Problem, raise_all
from generator.files import make_private_directory, write_atomic
from generator.pki import addon_secrets, plain_keys, private_directory, pull_secret, sealing, served, state_key
from generator.pki import check as key_check
from generator.pki.issue import Issued, certificate_pem, issue, key_pem, new_key, read_certificate, read_key
from generator.plan.decide import Plan
from generator.plan.inventory import OPERATOR_KEY, Inventory, KeyFact, report_key, wireguard_key

T = TypeVar("T")

_CLUSTER_ID = "cluster-id"
_MODE = 0o600
# A user's own files may be here before.
_ALWAYS = tuple(material.file for material in plain_keys.planned(()))


@dataclass(frozen=True)
class KeyStore:
    """Every key and certificate of a plan; `files` maps a path below the store to its content.

    `addons` is what addons keep secret, in the same way: a person's files, and what was made for them; `given` is what
    may be known of the user's certificate.
    """

    cluster_id: str
    files: Mapping[str, bytes] = field(repr=False)
    addons: Mapping[str, bytes] = field(repr=False, default_factory=dict)
    given: KeyFact | None = None

    @classmethod
    def open(
        cls, store_path: Path, plan: Plan, inventory: Inventory | None = None, *, now: datetime | None = None
    ) -> KeyStore:
        """Load a store that is complete, but for what only new certificates need, and change nothing.

        With an inventory every fingerprint is compared, with a time the expiry of every certificate.

        Raises:
            Problems: something is missing, is not what the plan says, or is not private.
        """
        names = key_check.names(plan)
        raise_all(openness(store_path, names, plan))
        raise_all(misplaced(store_path, plan, now))
        identity = read_id(store_path)
        files = contents(store_path, names)
        problems = [*strangers(store_path, identity, plan, inventory)]
        needed = [name for name in names if name not in key_check.elsewhere(plan)]
        absent = [name for name in needed if name not in files]
        if absent:
            some = f"`{absent[0]}`" + (f" and {len(absent) - 1} more files" if len(absent) > 1 else "")
            hint = f"run `gen render` if it never ended; else {key_check.backup_hint(store_path)}"
            hint += f"; {key_check.enough_for(files)}"
            problems.append(Problem(f"{some} of {len(needed)} can't be found", where=str(store_path), hint=hint))
        problems += key_check.Check(store_path, plan, inventory, files, now).faults()
        raise_all(problems)
        return cls(plan.cluster_id, files, _addons(store_path, plan, files), served.fact(store_path, plan))

    def certificate(self, path: str) -> bytes:
        """Give a certificate as PEM."""
        return self.files[f"{path}.crt"]

    def key(self, path: str) -> bytes:
        """Give a private key as it lies in the store; PEM where it belongs to a certificate."""
        return self.files[f"{path}.key"]

    @property
    def operator_key(self) -> Ed25519PrivateKey:
        """Give the key that signs the roster."""
        return plain_keys.read_operator(self.key(OPERATOR_KEY))

    @property
    def service_account_key(self) -> bytes:
        """Give the key that signs the tokens of service accounts, as PEM."""
        return self.key(plain_keys.SERVICE_ACCOUNT_KEY)

    @property
    def service_account_public(self) -> bytes:
        """Give the public half of the service-account key as PEM."""
        return plain_keys.service_account_public(self.service_account_key)

    @property
    def encryption_key(self) -> str:
        """Give the key that encrypts Secrets in etcd, as base64."""
        return self.key(plain_keys.ENCRYPTION_KEY).decode().strip()

    def sealed_addons(self, namespaces: Collection[str]) -> bytes:
        """Seal what addons keep secret, as far as they are there.

        Args:
            namespaces: those that the cluster's addons make.

        Raises:
            Problems: a person's file is for none of them.
        """
        theirs = {path: content for path, content in self.addons.items() if path not in self.files}
        raise_all(_as_problems(Path(), addon_secrets.mistakes(theirs, namespaces)))
        secrets = [one for one in addon_secrets.parse(self.addons) if one.namespace in namespaces]
        key = plain_keys.read_symmetric(self.key(plain_keys.ADDON_SECRETS_KEY))
        return sealing.seal(sealing.ADDON_SECRETS, addon_secrets.document(secrets), key, self.cluster_id)

    @property
    def snapshot_recipient(self) -> str:
        """Give to whom snapshots are sealed."""
        return plain_keys.recipient(self.key(plain_keys.SNAPSHOT_IDENTITY))

    def sealed_access(self, text: bytes) -> bytes:
        """Seal the way to the bucket for snapshots, for control-plane nodes."""
        key = plain_keys.read_symmetric(self.key(plain_keys.ADDON_SECRETS_KEY))
        return sealing.seal(sealing.STATE_ACCESS, text, key, self.cluster_id)

    def wireguard_private(self, node: str) -> str:
        """Give a node's WireGuard key as base64."""
        return self.key(wireguard_key(node)).decode().strip()

    def report_secret(self, node: str) -> bytes:
        """Give the 32 bytes with which a node vouches for what it reports."""
        return plain_keys.read_symmetric(self.key(report_key(node)))


def addon_files(store_path: Path) -> dict[str, bytes]:
    """Read every file below `addons/` by its path below the store, but the key and what killed runs left of ours."""
    ours = [f"{plain_keys.ADDON_SECRETS_KEY}.key", plain_keys.POSTGRES_PASSWORD]
    parts = [one.rpartition("/") for one in ours]
    halves = [re.compile(rf"{re.escape(head)}/\.{re.escape(name)}\..{{8}}") for head, _, name in parts]
    found = {}
    for directory, _, names in os.walk(store_path / addon_secrets.DIRECTORY, followlinks=False):
        for name in names:
            path = Path(directory, name)
            place = path.relative_to(store_path).as_posix()
            is_ours = place == ours[0] or any(half.fullmatch(place) for half in halves)
            content = None if is_ours else private_directory.read(path)
            if content is not None:
                found[place] = content
    return dict(sorted(found.items()))


def operator_key(store_path: Path) -> Ed25519PrivateKey:
    """Read the key with which the operator signs.

    Raises:
        Problem: it is not here, or damaged.
    """
    return _needed(store_path, OPERATOR_KEY, "nothing can be signed", plain_keys.read_operator)


def snapshot_key(store_path: Path) -> bytes:
    """Read the 32 bytes with which control-plane nodes vouch for snapshots.

    Raises:
        Problem: it is not here, or damaged.
    """
    return _needed(
        store_path, plain_keys.SNAPSHOT_KEY, "nobody can tell who took a snapshot", plain_keys.read_symmetric
    )


def snapshot_identity(store_path: Path) -> bytes:
    """Read the identity of age that opens snapshots and dumps.

    Raises:
        Problem: it is not here, or damaged.
    """

    def known(content: bytes) -> bytes:
        plain_keys.recipient(content)
        return content

    return _needed(store_path, plain_keys.SNAPSHOT_IDENTITY, "no snapshot can be opened", known)


def _needed(store_path: Path, path: str, so: str, read: Callable[[bytes], T]) -> T:
    where = store_path / f"{path}.key"
    content = private_directory.read(where)
    if content is None:
        raise Problem(f"is not here, so {so}", where=str(where), hint=key_check.backup_hint(store_path))
    try:
        return read(content)
    except ValueError as error:
        raise Problem(f"is damaged: {error}", where=str(where), hint=key_check.backup_hint(store_path)) from error


def report_keys(store_path: Path, nodes: Iterable[str]) -> dict[str, bytes]:
    """Read the keys with which nodes vouch for what they report; a node whose key is not here is left out."""
    found = {node: private_directory.read(store_path / f"{report_key(node)}.key") for node in nodes}
    return {node: plain_keys.read_symmetric(key) for node, key in found.items() if key is not None}


def cluster_id(store_path: Path, inventory: Inventory | None = None) -> str:
    """Read the cluster's id; make it where there is neither a key nor an inventory that lists one.

    Raises:
        Problems: the id is lost, or the store is not private.
    """
    raise_all(openness(store_path, [_CLUSTER_ID]))
    known = read_id(store_path)
    if known is not None:
        return known
    listed = len(inventory.keys) if inventory else 0
    if listed:
        message = f"is empty, the inventory lists {listed} keys"
        raise_all([Problem(message, where=str(store_path), hint=key_check.backup_hint(store_path))])
    make_private_directory(store_path)
    with private_directory.held(store_path):
        known = read_id(store_path)
        if known is None:
            known = str(uuid.uuid4())
            write_atomic(store_path / _CLUSTER_ID, f"{known}\n".encode(), _MODE)
            private_directory.settle(store_path)
    return known


def ensure(store_path: Path, plan: Plan, inventory: Inventory | None, *, now: datetime) -> KeyStore:
    """Load a store and make what it lacks: only where neither the key nor its row in the inventory exists.

    A key is written before its certificate, each as a whole. So the most that a killed run leaves behind is a key
    without certificate and without row, which the next run completes.

    Raises:
        Problems: a key is lost or is not what the plan says, or the store is not private; then nothing was made.
    """
    names = key_check.names(plan)
    raise_all(openness(store_path, names, plan))
    raise_all(misplaced(store_path, plan, now))
    identity = cluster_id(store_path, inventory)
    with private_directory.held(store_path):
        files = contents(store_path, names)
        check = key_check.Check(store_path, plan, inventory, files, now)
        raise_all([*strangers(store_path, identity, plan, inventory), *check.lost(), *check.faults()])
        for name, content in _gaps(plan, files, now):
            path = store_path / name
            make_private_directory(path.parent)
            write_atomic(path, content, _MODE)
            files[name] = content
        private_directory.settle(store_path)
    return KeyStore(plan.cluster_id, files, _addons(store_path, plan, files), served.fact(store_path, plan))


def facts(store: KeyStore, plan: Plan) -> tuple[KeyFact, ...]:
    """List what may be known of every key of a plan."""
    return (
        *(
            key_check.material_fact(material, material.kind.public(store.files[material.file]))
            for material in key_check.materials(plan)
        ),
        *(
            key_check.certificate_fact(row.path, read_certificate(store.certificate(row.path)))
            for row in plan.certificates
        ),
        *((store.given,) if store.given else ()),
    )


def _gaps(plan: Plan, files: Mapping[str, bytes], now: datetime) -> Iterator[tuple[str, bytes]]:
    """Make what is not in `files`, one at a time; the caller adds each before it asks for the next."""
    for material in key_check.materials(plan):
        if material.file not in files:
            yield material.file, material.kind.make()
    for row in plan.certificates:
        is_elsewhere = row.is_authority and f"{row.path}.crt" in files
        if f"{row.path}.key" not in files and not is_elsewhere:
            yield f"{row.path}.key", key_pem(new_key())
        if f"{row.path}.crt" not in files:
            signer = _issued(row.signer, files) if row.signer else None
            certificate = issue(row, read_key(files[f"{row.path}.key"]), signer, now=now)
            yield f"{row.path}.crt", certificate_pem(certificate)


def _issued(path: str, files: Mapping[str, bytes]) -> Issued:
    return Issued(read_certificate(files[f"{path}.crt"]), read_key(files[f"{path}.key"]))


def openness(store_path: Path, names: Iterable[str], plan: Plan | None = None) -> list[Problem]:
    """Find what of a store others may read, or git would commit."""
    faults = private_directory.faults(store_path)
    theirs = set(key_check.of_the_user(plan)) if plan is not None else set()
    return faults or private_directory.exposed(store_path, {*names, *addon_files(store_path), *theirs})


def misplaced(store_path: Path, plan: Plan, now: datetime | None) -> list[Problem]:
    """Find files of addons that are no secrets, and what the description names that is not what it should be."""
    return [
        *_as_problems(store_path, addon_secrets.mistakes(addon_files(store_path))),
        *pull_secret.mistakes(store_path, plan),
        *served.mistakes(store_path, plan, now=now),
        *state_key.mistakes(store_path, plan),
    ]


def _addons(store_path: Path, plan: Plan, files: Mapping[str, bytes]) -> dict[str, bytes]:
    made = served.values(store_path, plan, files)
    return {**addon_files(store_path), **pull_secret.read(store_path, plan), **made}


def _as_problems(store_path: Path, mistakes: Iterable[addon_secrets.Mistake]) -> list[Problem]:
    return [Problem(one.message, where=str(store_path / one.path), hint=one.hint) for one in mistakes]


def contents(store_path: Path, names: Iterable[str]) -> dict[str, bytes]:
    """Read those of some files of a store that are there."""
    found = {name: private_directory.read(store_path / name) for name in names}
    return {name: content for name, content in found.items() if content is not None}


def read_id(store_path: Path) -> str | None:
    """Read the cluster's id, None where there is none and no key either.

    Raises:
        Problem: it is gone or damaged.
    """
    content = private_directory.read(store_path / _CLUSTER_ID)
    if content is None:
        if any((store_path / name).exists() for name in _ALWAYS):
            hint = key_check.backup_hint(store_path)
            raise Problem("is gone, keys are there", where=str(store_path / _CLUSTER_ID), hint=hint)
        return None
    text = content.decode(errors="replace").strip()
    try:
        known = str(uuid.UUID(text))
    except ValueError:
        known = ""
    if known != text:
        hint = key_check.backup_hint(store_path)
        raise Problem("is damaged: it holds no UUID", where=str(store_path / _CLUSTER_ID), hint=hint)
    return known


def strangers(store_path: Path, identity: str | None, plan: Plan, inventory: Inventory | None) -> Iterator[Problem]:
    """Tell when the store is another cluster's than the inventory or the plan."""
    others = {"inventory": inventory.cluster_id if inventory else identity, "plan": plan.cluster_id}
    for what, other in others.items():
        if identity is not None and other != identity:
            message = f"the keys are those of cluster {identity}, the {what} is of {other or 'none'}"
            hint = "restore the keys of this cluster, or the inventory that was committed with them"
            yield Problem(message, where=str(store_path), hint=hint)
            return
