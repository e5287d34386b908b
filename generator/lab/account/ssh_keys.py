"""Registers, shows and removes the emulated account's SSH keys."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from typing import Any

from generator.lab.account.account import Account, Key, Refusal, not_found, unprocessable

_LISTS_PER_MINUTE = 10
_KINDS = ("ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521")


def create(account: Account, body: Mapping[str, Any], now: float) -> Key:
    """Register a public key; droplets can't be made with it at once."""
    name, text = body.get("name"), body.get("public_key")
    if not isinstance(name, str) or not name:
        raise unprocessable("Name can't be blank")
    if not isinstance(text, str):
        raise unprocessable("Key invalid, key should be of the format `type key [comment]`")
    mark = fingerprint(text)
    if any(key.fingerprint == mark for key in account.keys.values()):
        raise unprocessable("SSH Key is already in use on your account")
    key = Key(account.next_number(), mark, text, name, usable=now + account.lag(account.unkind.key_lag))
    account.keys[key.id] = key
    return key


def fingerprint(text: str) -> str:
    """Give the MD5 fingerprint the provider finds keys by."""
    words = text.split()
    try:
        blob = base64.b64decode(words[1], validate=True)
    except (IndexError, binascii.Error):
        blob = b""
    if len(words) < 2 or words[0] not in _KINDS or not blob[4:].startswith(words[0].encode()):
        raise unprocessable("Key invalid, key should be of the format `type key [comment]`")
    digest = hashlib.md5(blob, usedforsecurity=False).hexdigest()
    return ":".join(digest[at : at + 2] for at in range(0, 32, 2))


def listed(account: Account, now: float) -> list[Key]:
    """List all keys, which the provider allows ten times a minute.

    Source: https://docs.digitalocean.com/reference/api/ (rate limit of `GET /v2/account/keys`)
    """
    account.key_lists = [moment for moment in account.key_lists if moment > now - 60]
    if len(account.key_lists) >= _LISTS_PER_MINUTE:
        raise Refusal(429, "too_many_requests", "API Rate limit exceeded.", retry_after=60)
    account.key_lists.append(now)
    return [key for _, key in sorted(account.keys.items())]


def find(account: Account, identifier: str) -> Key:
    """Find a key by number or fingerprint, or answer 404."""
    for key in account.keys.values():
        if identifier in (str(key.id), key.fingerprint):
            return key
    raise not_found()


def delete(account: Account, identifier: str) -> None:
    """Remove a key."""
    del account.keys[find(account, identifier).id]


def chosen(account: Account, wishes: object, now: float) -> list[int]:
    """Find the keys of a droplet to be, by number or fingerprint."""
    if not isinstance(wishes, list):
        raise unprocessable("ssh_keys must be an array.")
    known = {name: key for key in account.keys.values() for name in (str(key.id), key.fingerprint) if now >= key.usable}
    unknown = [str(wish) for wish in wishes if str(wish) not in known]
    if unknown:
        raise unprocessable(f"{', '.join(unknown)} are invalid key identifiers for Droplet creation.")
    return [known[str(wish)].id for wish in wishes]


def shape(key: Key) -> dict[str, Any]:
    """Give the API's object."""
    return {"id": key.id, "fingerprint": key.fingerprint, "public_key": key.public_key, "name": key.name}
