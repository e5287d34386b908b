"""A bundle as the generator seals it is opened by its node alone, once; only an expired address ends the trying."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest
from hardway import here, secrets
from hardway.here import Failure, Terminal

from generator.pki.bundle import seal
from generator.tar import PUBLIC, SECRET, PackedFile, pack

from .conftest import CLUSTER_ID, Answer, Store

FILES = (
    PackedFile("/etc/kubernetes/pki/kubelet.key", b"key", SECRET),
    PackedFile("/etc/kubernetes/pki/ca.crt", b"certificate", PUBLIC),
    PackedFile("/etc/hardway/addon-secrets.key", b"word", SECRET),
)
EXPIRED = b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"
DENIED = b"<Error><Code>AccessDenied</Code></Error>"


@pytest.fixture
def sealed(
    facts: dict[str, Any], launch: dict[str, Any], store: Store, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """A node whose bundle is in the store."""
    monkeypatch.setattr(socket, "gethostname", lambda: "node01")
    content, key = pack(FILES), os.urandom(32)
    facts["bundle_sha256"] = hashlib.sha256(content).hexdigest()
    launch["bundle_key"] = base64.b64encode(key).decode()
    here.write(here.FACTS, json.dumps(facts))
    here.write(here.LAUNCH, json.dumps(launch))
    store.answers["/bundle"] = Answer(seal(content, key, CLUSTER_ID, "node01"))
    return launch


def test_writes_the_files_and_forgets_the_key(root: Path, sealed: dict[str, Any]) -> None:
    secrets.step()
    for file in FILES:
        path = root / file.path.lstrip("/")
        assert (path.read_bytes(), path.stat().st_mode & 0o777) == (file.content, file.mode)
    kept = root / "etc/hardway/launch.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert set(json.loads(kept.read_text())) == sealed.keys() - {"bundle_url", "bundle_key"}
    assert not (root / "run/hardway/launch.json").exists()
    found = [path.read_bytes() for path in root.rglob("*") if path.is_file()]
    assert not any(sealed["bundle_key"].encode() in content for content in found)


def test_a_later_boot_asks_nobody(sealed: dict[str, Any], store: Store, root: Path) -> None:
    secrets.step()
    store.requests.clear()
    here.write(here.LAUNCH, json.dumps(sealed))
    secrets.step()
    assert store.requests == []
    assert not (root / "run/hardway/launch.json").exists()


def test_another_document_fetches_again(sealed: dict[str, Any], store: Store) -> None:
    here.write(secrets.DONE, "another digest")
    secrets.step()
    assert len(store.requests) == 1


@pytest.mark.parametrize(
    ("answer", "expires", "is_terminal"),
    [
        pytest.param(Answer(EXPIRED, 403), "2099-01-01T00:00:00Z", True, id="the store says so"),
        pytest.param(
            Answer(DENIED, 403, {"Date": "Mon, 23 Nov 2026 12:00:01 GMT"}), "2026-11-23T12:00:00Z", True, id="its clock"
        ),
        pytest.param(
            Answer(DENIED, 403, {"Date": "Mon, 23 Nov 2026 11:59:59 GMT"}), "2026-11-23T12:00:00Z", False, id="denied"
        ),
        pytest.param(Answer(DENIED, 403), "2020-01-01T00:00:00Z", False, id="our own clock does not count"),
        pytest.param(Answer(b"<Code>NoSuchKey</Code>", 404), "2099-01-01T00:00:00Z", False, id="not there yet"),
        pytest.param(Answer(b"SlowDown", 503), "2099-01-01T00:00:00Z", False, id="slow down"),
        pytest.param(Answer(b"x" * 100, cut=50), "2099-01-01T00:00:00Z", False, id="broken off"),
    ],
)
def test_only_an_expired_address_is_the_end(
    sealed: dict[str, Any], store: Store, root: Path, answer: Answer, expires: str, is_terminal: bool
) -> None:
    store.answers["/bundle"] = answer
    here.write(here.LAUNCH, json.dumps(sealed | {"expires": expires}))
    with pytest.raises(Failure) as caught:
        secrets.step()
    assert isinstance(caught.value, Terminal) == is_terminal
    assert "canary" not in str(caught.value)
    assert not (root / "etc/kubernetes").exists()
    assert (root / "run/hardway/launch.json").exists()


@pytest.mark.parametrize("wrong", ["key", "node", "cluster", "content", "byte", "short"])
def test_nothing_else_is_opened(
    sealed: dict[str, Any], store: Store, root: Path, facts: dict[str, Any], wrong: str
) -> None:
    content, key = pack(FILES), base64.b64decode(sealed["bundle_key"])
    bundles = {
        "key": seal(content, os.urandom(32), CLUSTER_ID, "node01"),
        "node": seal(content, key, CLUSTER_ID, "node02"),
        "cluster": seal(content, key, "00000000-0000-0000-0000-000000000000", "node01"),
        "content": seal(pack(FILES[:2]), key, CLUSTER_ID, "node01"),
        "byte": store.answers["/bundle"].body[:-1] + bytes([store.answers["/bundle"].body[-1] ^ 1]),
        "short": b"short",
    }
    store.answers["/bundle"] = Answer(bundles[wrong])
    with pytest.raises(Terminal):
        secrets.step()
    assert not (root / "etc/kubernetes").exists()


def test_a_droplet_of_another_name_is_refused(sealed: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "node02")
    with pytest.raises(Terminal, match="`node02`, its document is for `node01`"):
        secrets.step()
