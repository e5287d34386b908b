"""When the kubeconfig of every day ends, whatever lies in its place."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from generator.cluster.access import DAILY, Access, expiry
from generator.errors import Problem
from tests.keyring import planned


def holding(claims: object) -> str:
    """Write a kubeconfig with a token of these claims."""
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return json.dumps({"users": [{"user": {"token": f"head.{body}.signature"}}]})


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        (holding({"exp": 1_795_000_000}), "2026-11-18T11:06:40Z"),
        *((holding(claims), None) for claims in ({}, {"exp": 10**30}, {"exp": "soon"}, {"exp": None}, [], None)),
        *((text, None) for text in ("users: [{user: {token: x.y.z}}]", "users: [{user: {token: 7}}]", "users: []")),
        *((text, None) for text in ("users: 7", "[", "", "\x00")),
    ],
)
def test_its_end_is_what_the_token_says(tmp_path: Path, text: str, ends: str | None) -> None:
    (tmp_path / DAILY).write_text(text)
    assert expiry(tmp_path) == ends


def test_without_one_there_is_no_end(tmp_path: Path) -> None:
    assert expiry(tmp_path) is None


def test_a_store_without_the_administrators_key_says_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "admin.crt").write_bytes(b"c")
    with pytest.raises(Problem, match=r"admin\.key: is not here"):
        Access(planned(), tmp_path, "203.0.113.7", None).certificate()
