"""Makes and reads the keys that have no certificate: what each is, what may be known of it; no disk."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from generator.pki.issue import key_pem, new_key, read_key
from generator.plan.inventory import OPERATOR_KEY, report_key, wireguard_key

SERVICE_ACCOUNT_KEY = "sa"
ENCRYPTION_KEY = "encryption"
ADDON_SECRETS_KEY = "addons/secrets"
SNAPSHOT_IDENTITY = "snapshots/identity"
"""Opens snapshots and dumps: an identity of age, for `age --decrypt --identity`. Source: age-keygen(1)"""
SNAPSHOT_KEY = "snapshots/vouch"
"""What control-plane nodes vouch for snapshots with: to seal one needs no secret, so a seal proves no sender."""
POSTGRES_PASSWORD = "addons/order-book/postgres/password"  # noqa: S105 - where it lies


@dataclass(frozen=True)
class Kind:
    """One kind of key: how it is made, and how its public part is found.

    `public` raises ValueError with the reason when the content is not such a key.
    """

    make: Callable[[], bytes]
    public: Callable[[bytes], bytes]
    is_published: bool


@dataclass(frozen=True)
class Material:
    """One planned key without certificate: its path in the store, its file there, its kind."""

    path: str
    file: str
    kind: Kind


def planned(nodes: Iterable[str]) -> tuple[Material, ...]:
    """List the keys of a cluster that have no certificate."""
    return (
        Material(OPERATOR_KEY, f"{OPERATOR_KEY}.key", _OPERATOR),
        Material(SERVICE_ACCOUNT_KEY, f"{SERVICE_ACCOUNT_KEY}.key", _SERVICE_ACCOUNT),
        Material(ENCRYPTION_KEY, f"{ENCRYPTION_KEY}.key", _SYMMETRIC),
        Material(ADDON_SECRETS_KEY, f"{ADDON_SECRETS_KEY}.key", _SYMMETRIC),
        Material(SNAPSHOT_IDENTITY, f"{SNAPSHOT_IDENTITY}.key", _IDENTITY),
        Material(SNAPSHOT_KEY, f"{SNAPSHOT_KEY}.key", _SYMMETRIC),
        Material(POSTGRES_PASSWORD, POSTGRES_PASSWORD, _PASSWORD),
        *(
            Material(path(node), f"{path(node)}.key", kind)
            for node in nodes
            for path, kind in ((wireguard_key, _WIREGUARD), (report_key, _SYMMETRIC))
        ),
    )


def read_operator(content: bytes) -> Ed25519PrivateKey:
    """Read the operator's signing key.

    Raises:
        ValueError: it is something else, or damaged.
    """
    try:
        key = serialization.load_pem_private_key(content, password=None)
    except (TypeError, UnsupportedAlgorithm) as error:
        raise ValueError("it is encrypted or of an unknown kind") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError("it is not an ed25519 key")
    return key


def read_symmetric(content: bytes) -> bytes:
    """Read the 32 bytes of a key that both sides have.

    Raises:
        ValueError: it is something else, or damaged.
    """
    return _base64_of_32(content)


def service_account_public(content: bytes) -> bytes:
    """Write the public half of the service-account key as PEM."""
    public = read_key(content).public_key()
    return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def recipient(identity: bytes) -> str:
    """Give the recipient to which an identity of age opens what was sealed.

    Raises:
        ValueError: it is no identity.
    """
    import pyrage  # slow to import, and most verbs seal nothing

    lines = [line for line in identity.decode(errors="replace").splitlines() if line and not line.startswith("#")]
    try:
        return str(pyrage.x25519.Identity.from_str(lines[0].strip()).to_public())
    except (IndexError, pyrage.IdentityError) as error:
        raise ValueError("it is no identity of age") from error


def _make_identity() -> bytes:
    import pyrage

    return f"{pyrage.x25519.Identity.generate()}\n".encode()


def _identity_public(content: bytes) -> bytes:
    return recipient(content).encode()


def _make_operator() -> bytes:
    return Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _operator_public(content: bytes) -> bytes:
    return read_operator(content).public_key().public_bytes_raw()


def _make_wireguard() -> bytes:
    scalar = bytearray(secrets.token_bytes(32))
    # WireGuard clamps what it is given; clamped here, the file holds what `wg show` will say.
    # Source: RFC 7748, section 5
    scalar[0] &= 248
    scalar[31] = (scalar[31] & 127) | 64
    return base64.b64encode(scalar) + b"\n"


def _wireguard_public(content: bytes) -> bytes:
    return X25519PrivateKey.from_private_bytes(_base64_of_32(content)).public_key().public_bytes_raw()


def _service_account_der(content: bytes) -> bytes:
    public = read_key(content).public_key()
    return public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _make_symmetric() -> bytes:
    return base64.b64encode(secrets.token_bytes(32)) + b"\n"


def _symmetric_public(content: bytes) -> bytes:
    return _one_way(_base64_of_32(content))


def _make_password() -> bytes:
    # Hexadecimal digits mean the same in a URL, in a shell, in YAML and in a command line.
    return secrets.token_hex(32).encode()


def _password_public(content: bytes) -> bytes:
    if not re.fullmatch(rb"[A-Za-z0-9_-]{32,128}", content):
        raise ValueError("it is not 32 to 128 characters of a-z, A-Z, 0-9, `-` and `_`, without a line's end")
    return _one_way(content)


def _one_way(secret: bytes) -> bytes:
    """Stand in for the public part of a key that has none; at 256 bits of chance nothing can be guessed from it."""
    return hashlib.sha256(b"hardway-fingerprint-v1\n" + secret).digest()


def _base64_of_32(content: bytes) -> bytes:
    try:
        raw = base64.b64decode(content.strip(), validate=True)
    except binascii.Error as error:
        raise ValueError("it is not base64") from error
    if len(raw) != 32:
        raise ValueError(f"it holds {len(raw)} bytes, not 32")
    return raw


_OPERATOR = Kind(_make_operator, _operator_public, is_published=True)
_WIREGUARD = Kind(_make_wireguard, _wireguard_public, is_published=True)
_SERVICE_ACCOUNT = Kind(lambda: key_pem(new_key()), _service_account_der, is_published=False)
_IDENTITY = Kind(_make_identity, _identity_public, is_published=False)
_SYMMETRIC = Kind(_make_symmetric, _symmetric_public, is_published=False)
_PASSWORD = Kind(_make_password, _password_public, is_published=False)
