"""Holds a committed inventory against itself: certificates vouch for their rows, a signature for all else."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from generator.errors import Problem
from generator.pki.check import certificate_fact
from generator.pki.issue import has_usages, is_signed_by
from generator.plan.certificates import Certificate
from generator.plan.decide import Plan
from generator.plan.inventory import OPERATOR_KEY, RESTORE, Inventory, KeyFact

CONTEXT = b"hardway-inventory-v1\n"
_SHOWN = 60


def signed(inventory: Inventory, key: Ed25519PrivateKey) -> Inventory:
    """Sign what no certificate vouches for: numbers, bundles, the addons' secrets, keys without certificate.

    A row with a certificate may be deleted, for a new one to be made, without the operator's key.
    """
    return replace(inventory, signature=base64.b64encode(key.sign(_signed(inventory))).decode())


def is_signed(inventory: Inventory, public_key: str) -> bool:
    """Tell whether whoever has this key, base64 of 32 raw bytes, has signed an inventory."""
    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key, validate=True))
        key.verify(base64.b64decode(inventory.signature, validate=True), _signed(inventory))
    except (InvalidSignature, ValueError, binascii.Error):
        return False
    return True


def unsigned(file: Path) -> Problem:
    """Give the problem of an inventory that somebody else has written."""
    message = "what it says of numbers, bundles and keys without certificate is not signed with the operator's key"
    return Problem(message, where=str(file), hint=RESTORE)


def problems(plan: Plan, inventory: Inventory, file: Path) -> Iterator[Problem]:
    """Find what nobody vouches for; a forger of the whole, authorities and all, is seen where the keys are."""
    if not is_signed(inventory, inventory.public(OPERATOR_KEY)):
        yield unsigned(file)
    certificates = {}
    for row in plan.certificates:
        fact = inventory.key(row.path)
        if fact is None:
            continue  # said elsewhere
        found = certificates[row.path] = _certificate(fact)
        if found is None:
            yield Problem(f"there is no certificate in the row `{row.path}`", where=str(file), hint=RESTORE)
            continue
        for message in _contradictions(row, fact, found, certificates.get(row.signer or row.path)):
            yield Problem(f"`{row.path}`: {message}", where=str(file), hint=RESTORE)


def _contradictions(
    row: Certificate, fact: KeyFact, certificate: x509.Certificate, signer: x509.Certificate | None
) -> Iterator[str]:
    derived = certificate_fact(row.path, certificate)
    for field in fields(KeyFact):
        mine, listed = getattr(derived, field.name), getattr(fact, field.name)
        if mine != listed:
            yield f"its certificate's `{field.name}` is {str(mine)[:_SHOWN]}, the row says {str(listed)[:_SHOWN]}"
    if not has_usages(row, certificate):
        yield f"its certificate may not be used as {' and '.join(row.usages)} alone, as the plan says"
    if signer is None or not is_signed_by(certificate, signer):
        yield f"its certificate is not signed by `{row.signer or row.path}`"


def _certificate(fact: KeyFact) -> x509.Certificate | None:
    try:
        return x509.load_der_x509_certificate(base64.b64decode(fact.certificate or "", validate=True))
    except ValueError:
        return None


def _told(fact: KeyFact) -> list[str | None]:
    """Give what the signature covers of a row; only the user's certificate has an end and no certificate beside it."""
    return [fact.path, fact.sha256, fact.public, *([fact.expires] if fact.expires else [])]


def _signed(inventory: Inventory) -> bytes:
    told = {
        "name": inventory.name,
        "cluster_id": inventory.cluster_id,
        "numbers": dict(inventory.numbers),
        "bundles": dict(inventory.bundles),
        "secrets": inventory.secrets,
        "keys": sorted(_told(one) for one in inventory.keys if one.certificate is None),
    }
    return CONTEXT + json.dumps(told, sort_keys=True, separators=(",", ":")).encode()
