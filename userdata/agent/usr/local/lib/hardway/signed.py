"""Reads what the operator has signed for this cluster; nothing is believed before its signature."""

from __future__ import annotations

import base64
from typing import Any

from hardway import here
from hardway.here import Failure


def verify(text: bytes, context: str, facts: dict[str, Any]) -> dict[str, Any]:
    """Return the payload of a signed object.

    Args:
        text: JSON with `payload`, which is JSON text, and `signature`, base64.
        context: what is signed before the payload, so that nothing signed for one purpose serves another.
        facts: the operator's public key, and the cluster that it has to be for.

    Raises:
        Failure: it is not signed by the operator, or is another cluster's.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        outer = here.parse(text)
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(facts["operator_public_key"]))
        key.verify(base64.b64decode(outer["signature"]), f"{context}\n{outer['payload']}".encode())
        payload: dict[str, Any] = here.parse(outer["payload"])
        cluster = payload["cluster_id"]
    except (Failure, InvalidSignature, ValueError, LookupError, TypeError, AttributeError) as error:
        raise Failure(f"it is not as the operator signs it ({type(error).__name__})") from None
    if cluster != facts["cluster_id"]:
        raise Failure("it is another cluster's")
    return payload
