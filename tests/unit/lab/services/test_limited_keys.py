"""The store hears of limited keys: each may do at its bucket what it may, and nobody else's rights change."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from generator.lab.account.account import SpacesKey
from generator.lab.services import limited_keys

OWNER = {"Permission": "FULL_CONTROL", "Access": "root", "Type": "CanonicalUser"}
EVERYBODY = {"Permission": "READ", "Access": "all-users", "Type": "Group"}


def access_list(bucket: Path) -> list[dict[str, str]]:
    return list(json.loads(os.getxattr(bucket, "user.acl"))["Grantees"])


@pytest.fixture
def objects(tmp_path: Path) -> Path:
    for name in ("state", "other", "half-made"):
        (tmp_path / "objects" / name).mkdir(parents=True)
        if name != "half-made":
            text = json.dumps({"Owner": "root", "Grantees": [OWNER, EVERYBODY]}).encode()
            os.setxattr(tmp_path / "objects" / name, "user.acl", text)
    return tmp_path / "objects"


def test_a_key_has_its_bucket_and_loses_it_when_it_is_deleted(objects: Path, tmp_path: Path) -> None:
    grants = [{"bucket": "state", "permission": "readwrite"}, {"bucket": "gone", "permission": "read"}]
    key = SpacesKey("DO00A", "secret", "n", grants, 0.0)
    limited_keys.follow([key], tmp_path / "keys", objects)
    own = [{"Permission": one, "Access": "DO00A", "Type": "CanonicalUser"} for one in ("READ", "WRITE")]
    assert access_list(objects / "state") == [OWNER, EVERYBODY, *own]
    assert access_list(objects / "other") == [OWNER, EVERYBODY]
    file = tmp_path / "keys" / limited_keys.USERS
    assert json.loads(file.read_text())["accessAccounts"]["DO00A"]["role"] == "user"
    assert file.stat().st_mode & 0o777 == 0o600
    limited_keys.follow([], tmp_path / "keys", objects)
    assert access_list(objects / "state") == [OWNER, EVERYBODY]
    assert json.loads(file.read_text()) == {"accessAccounts": {}}
