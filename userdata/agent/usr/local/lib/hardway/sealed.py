"""Brings what is sealed for control-plane nodes and lies beside the roster, which pins it, and opens it."""

from __future__ import annotations

import base64
import hashlib
import hmac
from pathlib import Path
from typing import Any

from hardway import fetch, here
from hardway.here import Failure

KEY = "/etc/hardway/addon-secrets.key"
KEPT = "/var/lib/hardway/addons"
NONCE_BYTES = 12
VERSION = 1


def opened(label: str, digest: str, ending: str, what: str) -> dict[str, Any]:
    """Give what is sealed under a label, as kept here or as the store has it, checked against the roster's digest.

    Args:
        what: names it in messages.
    """
    return unseal(label, archive(digest, ending, what), what)


def archive(digest: str, ending: str, what: str) -> bytes:
    """Give the sealed bytes."""
    kept = Path(KEPT, f"{digest}.{ending}")
    there = here.at(str(kept))
    if there.exists() and hashlib.sha256(found := there.read_bytes()).hexdigest() == digest:
        return bytes(found)
    status, body, _ = fetch.ask(f"{here.launch()['addons_url']}{kept.name}")
    if status != 200:
        raise Failure(f"{what} can't be fetched: answer {status}")
    if hashlib.sha256(body).hexdigest() != digest:
        raise Failure(f"{what} in the store: not what the roster pins")
    here.write(str(kept), body)
    return body


def unseal(label: str, sealed: bytes, what: str) -> dict[str, Any]:
    """Open it; it has to be this cluster's, and be sealed for this purpose."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    key = base64.b64decode(here.at(KEY).read_bytes())
    bound_to = f"{label}/{here.facts()['cluster_id']}".encode()
    own = hmac.digest(hmac.digest(key, f"{label} encrypt".encode(), "sha256"), b"", "sha256")
    try:
        text = AESGCM(own).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], bound_to)
    except (InvalidTag, ValueError):
        raise Failure(f"{what} can't be unsealed: damaged, or another cluster's") from None
    found: dict[str, Any] = here.parse(text)
    if found["version"] != VERSION:
        raise Failure(f"{what}: of version {found['version']}, {VERSION} is known here")
    return found
