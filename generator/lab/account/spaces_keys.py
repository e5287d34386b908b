"""Makes, shows and deletes the emulated account's keys for Spaces; each is limited to buckets.

Source: https://docs.digitalocean.com/reference/api/ (Spaces keys)
"""

from __future__ import annotations

import base64
import re
import string
from collections.abc import Mapping
from typing import Any

from generator.lab.account.account import Account, Refusal, SpacesKey, not_found, timestamp

MOST = 200
_PERMISSIONS = ("read", "readwrite")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")


def create(account: Account, body: Mapping[str, Any], now: float) -> SpacesKey:
    """Make a key; its secret is shown this once.

    Raises:
        Refusal: the order is wrong (400), or there are too many (403).
    """
    name, grants = body.get("name"), body.get("grants")
    if not isinstance(name, str) or not name:
        raise _bad("name is required")
    if not isinstance(grants, list) or not grants:
        raise _bad("grants are required")
    for grant in grants:
        if grant.get("permission") == "fullaccess":
            raise _bad("The lab makes no keys with full access.")
        if grant.get("permission") not in _PERMISSIONS or not _BUCKET.fullmatch(str(grant.get("bucket"))):
            raise _bad("invalid grant")
    if len(account.spaces_keys) >= MOST:
        raise Refusal(403, "forbidden", "access key limit exceeded")
    chance = account.chance()
    letters = string.ascii_uppercase + string.digits
    key = SpacesKey(
        id="DO00" + "".join(chance.choice(letters) for _ in range(16)),
        secret=base64.urlsafe_b64encode(chance.randbytes(32)).decode().rstrip("="),
        name=name,
        grants=[{"bucket": str(one["bucket"]), "permission": str(one["permission"])} for one in grants],
        created=now,
    )
    account.spaces_keys[key.id] = key
    return key


def listed(account: Account, query: Mapping[str, str]) -> list[SpacesKey]:
    """List keys by name or bucket, or all."""
    name, bucket = query.get("name"), query.get("bucket")
    return [
        one
        for one in account.spaces_keys.values()
        if (not name or one.name == name) and (not bucket or any(each["bucket"] == bucket for each in one.grants))
    ]


def find(account: Account, identifier: str) -> SpacesKey:
    """Find a key or answer 404."""
    if identifier not in account.spaces_keys:
        raise not_found()
    return account.spaces_keys[identifier]


def delete(account: Account, identifier: str) -> None:
    """Delete a key, which opens nothing from now on."""
    del account.spaces_keys[find(account, identifier).id]


def shape(key: SpacesKey, *, with_secret: bool = False) -> dict[str, Any]:
    """Give the API's object."""
    secret = {"secret_key": key.secret} if with_secret else {}
    shown = {"name": key.name, "access_key": key.id, "grants": key.grants, "created_at": timestamp(key.created)}
    return {**shown, **secret}


def _bad(message: str) -> Refusal:
    return Refusal(400, "bad_request", message)
