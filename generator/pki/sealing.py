"""Seals texts for control-plane nodes, always into the same bytes: their digest changes only when the text does."""

from __future__ import annotations

import hmac

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

ADDON_SECRETS, STATE_ACCESS = "hardway-addon-secrets-v1", "hardway-state-access-v1"
"""What is sealed; what was sealed as one is never opened as the other."""
STEP_BYTES = 1024
"""What is sealed may be read by anyone: of its length it shows no more than this."""
NONCE_BYTES = 12


def padded(text: bytes) -> bytes:
    """Fill JSON up with blanks, so that its length tells little."""
    return text.ljust(-(-len(text) // STEP_BYTES) * STEP_BYTES)


def seal(label: str, text: bytes, key: bytes, cluster_id: str) -> bytes:
    """Encrypt a text for one cluster, always into the same bytes: 12 of nonce, then AES-256-GCM's text and tag.

    The nonce is made of the text, so it is used twice for the same text alone, as RFC 5297 does it; with a random one
    the digest would change at every launch.
    """
    bound_to = f"{label}/{cluster_id}".encode()
    nonce = _derived(label, key, "nonce", bound_to + b"\n" + text)[:NONCE_BYTES]
    return nonce + AESGCM(_derived(label, key, "encrypt", b"")).encrypt(nonce, text, bound_to)


def _derived(label: str, key: bytes, purpose: str, text: bytes) -> bytes:
    own = hmac.digest(key, f"{label} {purpose}".encode(), "sha256")
    return hmac.digest(own, text, "sha256")
