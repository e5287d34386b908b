"""Wraps what a node says as the node does: with a MAC of its own key, or without one."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Mapping
from typing import Any

KEY = bytes(range(32))


def wrapped(context: str, values: Mapping[str, Any], key: bytes | None = KEY) -> str:
    """Wrap a report or an answer."""
    payload = json.dumps(values)
    mac = None if key is None else base64.b64encode(hmac.digest(key, f"{context}\n{payload}".encode(), "sha256"))
    return json.dumps({"version": 1, "payload": payload, "mac": mac.decode() if mac else None})
