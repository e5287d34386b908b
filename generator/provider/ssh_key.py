"""Makes a public SSH key that nobody can log in with: its private half is never kept."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


@dataclass(frozen=True)
class PublicKey:
    """One line as in `authorized_keys`, and the fingerprint by which the provider finds it."""

    line: str
    fingerprint: str


def throw_away() -> PublicKey:
    """Make a key pair and keep the public half alone."""
    public = Ed25519PrivateKey.generate().public_key()
    encoding, form = serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    line = public.public_bytes(encoding, form).decode()
    return PublicKey(f"{line} hardway", fingerprint(line))


def fingerprint(line: str) -> str:
    """Give the MD5 fingerprint of a public key in colons, which is the one the provider's API knows.

    Source: https://docs.digitalocean.com/reference/api/ (SSH keys)
    """
    blob = base64.b64decode(line.split()[1])
    digest = hashlib.md5(blob, usedforsecurity=False).hexdigest()
    return ":".join(digest[index : index + 2] for index in range(0, len(digest), 2))
