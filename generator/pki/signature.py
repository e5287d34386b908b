"""Signs JSON with the operator's key, for one purpose each, and verifies what was signed."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

VERSION = 1
ROSTER, REQUEST, VERIFIED = "hardway-roster-v1", "hardway-request-v1", "hardway-verified-v1"


class Unsigned(Exception):  # noqa: N818 - says what it is
    """Something is signed by nobody we know, or for another purpose."""


class Unreadable(Exception):  # noqa: N818
    """Something is no signed JSON at all."""


def sign(context: str, payload: str, key: Ed25519PrivateKey) -> bytes:
    """Wrap a payload with the operator's signature.

    Args:
        context: what it is signed for; the same payload serves no other purpose.
        payload: JSON text, kept as it is.
    """
    signature = base64.b64encode(key.sign(_signed(context, payload))).decode()
    wrapper = {"version": VERSION, "payload": payload, "signature": signature}
    return f"{json.dumps(wrapper, separators=(',', ':'))}\n".encode()


def verify(context: str, data: bytes, public_key: str) -> Mapping[str, Any]:
    """Read a signed payload; nothing of it is believed before its signature.

    Args:
        public_key: the operator's, base64 of 32 raw bytes.

    Raises:
        Unsigned: the operator has not signed it for this purpose.
        Unreadable: it is no signed JSON.
    """
    signer = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key, validate=True))
    try:
        wrapper = json.loads(data)
        text, signature = wrapper["payload"], base64.b64decode(wrapper["signature"], validate=True)
        signer.verify(signature, _signed(context, text))
    except InvalidSignature as error:
        raise Unsigned from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Unreadable from error
    values: Mapping[str, Any] = json.loads(text)
    return values


def _signed(context: str, payload: str) -> bytes:
    return f"{context}\n{payload}".encode()
