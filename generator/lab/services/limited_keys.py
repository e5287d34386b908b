"""Lets Spaces know the account's limited keys: who they are, and at which bucket each may do what.

The store (versitygw) reads both anew at each request: its users from a file, a bucket's access list from an attribute
of its directory.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from generator.files import make_private_directory, write_atomic
from generator.lab.account.account import SpacesKey

USERS = "users.json"
_ACCESS_LIST = "user.acl"
_PERMISSIONS = {"read": ("READ",), "readwrite": ("READ", "WRITE")}


def users(keys: Iterable[SpacesKey]) -> str:
    """Write the store's file of users: none of them may do anything by itself."""
    entries = {
        key.id: {"access": key.id, "secret": key.secret, "role": "user", "userID": 0, "groupID": 0, "projectID": 0}
        for key in keys
    }
    return json.dumps({"accessAccounts": entries})


def follow(keys: Iterable[SpacesKey], directory: Path, objects: Path) -> None:
    """Make the store's users and the access lists of its buckets what the account says.

    Args:
        directory: where the store reads its users.
        objects: holds a directory for each bucket.
    """
    known = tuple(keys)
    make_private_directory(directory)
    write_atomic(directory / USERS, users(known).encode(), mode=0o600)
    for bucket in objects.iterdir() if objects.is_dir() else ():
        # A bucket that is being made has none yet.
        with suppress(OSError, ValueError):
            found = json.loads(os.getxattr(bucket, _ACCESS_LIST))
            wanted = {**found, "Grantees": [*_others(found), *_granted(known, bucket.name)]}
            if wanted != found:
                os.setxattr(bucket, _ACCESS_LIST, json.dumps(wanted).encode())


def _others(found: dict[str, Any]) -> list[dict[str, str]]:
    """Give what the owner of a bucket and groups have of it."""
    return [one for one in found["Grantees"] if one["Type"] != "CanonicalUser" or one["Access"] == found["Owner"]]


def _granted(keys: Iterable[SpacesKey], bucket: str) -> list[dict[str, str]]:
    return [
        {"Permission": permission, "Access": key.id, "Type": "CanonicalUser"}
        for key in keys
        for grant in key.grants
        if grant["bucket"] == bucket
        for permission in _PERMISSIONS[grant["permission"]]
    ]
