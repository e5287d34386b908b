"""Holds the files of a key store against the plan and the inventory, and says all that is wrong; no disk, no clock."""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from generator.clock import stamp
from generator.errors import Problem
from generator.pki import plain_keys
from generator.pki.issue import differences, fingerprint, read_certificate, read_key, sans, subject
from generator.pki.plain_keys import Material
from generator.plan.certificates import Certificate
from generator.plan.decide import Plan
from generator.plan.inventory import OPERATOR_KEY, RESTORE, Inventory, KeyFact


@dataclass(frozen=True)
class Check:
    """One look at a store: `files` is what was read of it, by path below `store_path`.

    Without an inventory no fingerprint is compared, without `now` nothing is expired, nor is a row of `ageless`.
    """

    store_path: Path
    plan: Plan
    inventory: Inventory | None
    files: Mapping[str, bytes]
    now: datetime | None
    ageless: Collection[str] = ()

    def lost(self) -> Iterator[Problem]:
        """Find what must not be made anew: it has a row in the inventory, or others depend on it."""
        for material in materials(self.plan):
            if material.file not in self.files and self._has_row(material.path):
                yield self._gone(material.file)
        for row in self.plan.certificates:
            key, certificate = f"{row.path}.key", f"{row.path}.crt"
            listed = self._has_row(row.path)
            for name in (key, certificate):
                if name not in self.files and listed and name not in elsewhere(self.plan):
                    yield self._gone(name)
            if key not in self.files and listed and row.is_authority:
                yield from self._unsigned(row)
            if key not in self.files and not listed:
                if certificate in self.files:
                    hint = f"{self._backup}, or move `{Path(certificate).name}` away"
                    yield self._problem(key, "is gone, its certificate is there", hint)
                elif row.is_authority and (signed := self._signed_by(row)):
                    message = f"is gone, and `{signed[0]}` is signed with it"
                    yield self._problem(key, message, self._backup)

    def _unsigned(self, authority: Certificate) -> Iterator[Problem]:
        """Find certificates that have to be made, and that only a key could sign that is kept elsewhere."""
        rows = [row for row in self.plan.certificates if row.signer == authority.path]
        missing = [row.path for row in rows if f"{row.path}.crt" not in self.files and not self._has_row(row.path)]
        if missing:
            some = f"`{missing[0]}` has" if len(missing) == 1 else f"`{missing[0]}` and {len(missing) - 1} more have"
            hint = f"bring it here from where it is kept, for as long as `gen render` needs it; else {self._backup}"
            yield self._problem(f"{authority.path}.key", f"is not here, and {some} to be signed with it", hint)

    def faults(self) -> Iterator[Problem]:
        """Find what is there but is damaged, expired, or not what the plan or the inventory says."""
        for material in materials(self.plan):
            yield from self._material_faults(material)
        authorities: dict[str, x509.Certificate] = {}
        for row in self.plan.certificates:
            yield from self._certificate_faults(row, authorities)

    @property
    def _backup(self) -> str:
        return backup_hint(self.store_path)

    def _material_faults(self, material: Material) -> Iterator[Problem]:
        content = self.files.get(material.file)
        if content is None:
            return
        try:
            public = material.kind.public(content)
        except ValueError as error:
            yield self._problem(material.file, f"is damaged: {_reason(error)}", self._backup)
            return
        yield from self._other_than_listed(material.file, material_fact(material, public))

    def _certificate_faults(self, row: Certificate, authorities: dict[str, x509.Certificate]) -> Iterator[Problem]:
        key: ec.EllipticCurvePrivateKey | None = None
        certificate: x509.Certificate | None = None
        key_name, name = f"{row.path}.key", f"{row.path}.crt"
        try:
            key = read_key(self.files[key_name]) if key_name in self.files else None
        except ValueError as error:
            yield self._problem(key_name, f"is damaged: {_reason(error)}", self._backup)
        try:
            certificate = read_certificate(self.files[name]) if name in self.files else None
        except ValueError as error:
            yield self._problem(name, f"is damaged: {_reason(error)}", self._backup)
        if certificate is None:
            return
        if row.is_authority:
            authorities[row.path] = certificate
        signer = authorities.get(row.signer or row.path)
        for difference in differences(row, certificate, key, signer):
            yield self._problem(name, difference, self._anew(row))
        until = None if row.path in self.ageless else self.now
        if until is not None and certificate.not_valid_after_utc <= until:
            yield self._problem(name, f"expired at {stamp(certificate.not_valid_after_utc)}", self._anew(row))
        yield from self._other_than_listed(name, certificate_fact(row.path, certificate))

    def _other_than_listed(self, name: str, found: KeyFact) -> Iterator[Problem]:
        """Compare everything that a key says of itself with its committed row."""
        row = self.inventory.key(found.path) if self.inventory else None
        if row is None or row == found:
            return
        if row.sha256 != found.sha256:
            message = f"has the fingerprint {found.sha256[:16]}…, the inventory says {row.sha256[:16]}…"
            hint = "this store and the committed inventory are of different states: restore the one that is older"
            yield self._problem(name, message, hint)
            return
        for field in fields(KeyFact):
            mine, listed = getattr(found, field.name), getattr(row, field.name)
            if mine != listed:
                message = f"its `{field.name}` is {_shown(mine)}, the inventory says {_shown(listed)}"
                yield self._problem(name, message, RESTORE)

    def _anew(self, row: Certificate) -> str:
        if row.is_authority:
            return "an authority stays as it is for the life of its cluster: make the description as it was"
        if row.is_rotated:
            return f"`gen rotate {row.path}` makes a new one, and no node is replaced for it"
        return (
            f"make the description as it was; or move `{row.path}.crt` and `.key` away, delete the row `{row.path}` "
            f"of `rendered/{self.plan.name}/inventory.yaml`, and `gen render` makes a new one"
        )

    def _has_row(self, path: str) -> bool:
        return self.inventory is not None and self.inventory.key(path) is not None

    def _signed_by(self, authority: Certificate) -> list[str]:
        names = [f"{row.path}.crt" for row in self.plan.certificates if row.signer == authority.path]
        return [name for name in names if name in self.files]

    def _gone(self, name: str) -> Problem:
        return self._problem(name, "is gone, the inventory lists it", self._backup)

    def _problem(self, name: str, message: str, hint: str) -> Problem:
        return Problem(message, where=str(self.store_path / name), hint=hint)


def material_fact(material: Material, public: bytes) -> KeyFact:
    """Say what may be known of a key without certificate."""
    shown = base64.b64encode(public).decode() if material.kind.is_published else None
    return KeyFact(material.path, sha256=sha256(public).hexdigest(), public=shown)


def certificate_fact(path: str, certificate: x509.Certificate) -> KeyFact:
    """Say what may be known of a key with a certificate."""
    expires = stamp(certificate.not_valid_after_utc)
    der = base64.b64encode(certificate.public_bytes(Encoding.DER)).decode()
    return KeyFact(path, subject(certificate), sans(certificate), expires, fingerprint(certificate), certificate=der)


def materials(plan: Plan) -> tuple[Material, ...]:
    """List the plan's keys that have no certificate."""
    return plain_keys.planned(node.name for node in plan.nodes)


def names(plan: Plan) -> tuple[str, ...]:
    """List every file that a complete store holds for a plan, in the order in which they are made."""
    pairs = (f"{row.path}.{extension}" for row in plan.certificates for extension in ("key", "crt"))
    return (*(material.file for material in materials(plan)), *pairs)


def of_the_user(plan: Plan) -> tuple[str, ...]:
    """List the files of a store that the description names and nobody but the user makes."""
    given = (plan.given.certificate, plan.given.key) if plan.given else ()
    return tuple(name for name in (plan.pull_secret, plan.state_key, *given) if name)


def elsewhere(plan: Plan) -> frozenset[str]:
    """List the files that only new certificates need: they may be kept on another machine, or in a safe."""
    return frozenset(f"{row.path}.key" for row in plan.certificates if row.is_authority)


_API = ("kubernetes-ca.crt", "admin.crt", "admin.key")
_KEPT = f"{plain_keys.SNAPSHOT_KEY}.key"
NEEDS: Mapping[str, tuple[str, ...]] = {
    "gen kubeconfig": _API,
    "gen status": _API,
    "gen status --ask": (*_API, f"{OPERATOR_KEY}.key"),
    "gen logs": _API,
    "gen snapshot list": (_KEPT,),
    "gen snapshot verify": (_KEPT, f"{plain_keys.SNAPSHOT_IDENTITY}.key", f"{OPERATOR_KEY}.key"),
}
"""What verbs need that can do without the rest of a store; all others need it whole, or nothing of it."""


def enough_for(files: Collection[str]) -> str:
    """Say which verbs can do with what is there of a store, by its files."""
    able = [f"`{verb}`" for verb, needed in NEEDS.items() if set(needed) <= set(files)]
    return (
        f"what is here is enough for {', '.join(able)}"
        if able
        else "what is here is enough for no verb that needs keys"
    )


def backup_hint(store_path: Path) -> str:
    """Say what to do about a key that can't be made again."""
    return f"restore `{store_path}` from its backup; nothing else brings a private key back"


def _shown(value: object) -> str:
    return ", ".join(value) if isinstance(value, tuple) else str(value or "nothing")


def _reason(error: ValueError) -> str:
    # A parser's own sentence may run over lines and speak of its internals; ours are one short line.
    first = str(error).splitlines()[0] if str(error) else ""
    return first if first.startswith("it ") else "it can't be read"
