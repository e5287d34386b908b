"""Whatever a server does, each reader of the node ends in time, within its bytes, and with a failure that is a line."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hardway import addons, etcd, fetch, here, kube, roster, secrets
from hardway.here import Failure

from tests.hostile import KINDS, Talk, body, drip, serving

SECONDS = 0.3
PATIENCE_SECONDS = 4.0


@pytest.fixture
def hostile(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Talk], str]]:
    """Start a server that talks to everyone as it is told; gives its host and port."""
    monkeypatch.setattr(fetch, "LIMIT_SECONDS", SECONDS)
    monkeypatch.setattr(fetch, "FILE_SECONDS", SECONDS)
    monkeypatch.setattr(fetch, "LIMIT_BYTES", 1 << 20)
    monkeypatch.setattr(fetch, "FILE_BYTES", 1 << 20)
    with serving() as start:
        yield start


def _launch(url: str) -> None:
    places = {
        "roster_url": f"{url}/roster",
        "addons_url": f"{url}/",
        "bundle_url": f"{url}/bundle?X-Amz-Signature=canary",
    }
    here.write(here.LAUNCH, json.dumps(places | {"generation": 1, "expires": "2026-01-01T00:00:00Z"}))


def _lines(url: str) -> None:
    found = [here.parse(line) for line in fetch.lines(f"{url}/file", ssl.create_default_context(), SECONDS)]
    if not found:
        raise Failure("nothing has come")


def _api(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kube, "_url", lambda path: f"{url}{path}")
    monkeypatch.setattr(kube, "_context", lambda _: None)
    status, found = kube.api("GET", "/api/v1/nodes/node01", seconds=SECONDS)
    if status != 200 or not isinstance(found, dict):
        raise Failure("no object")


def _secrets(url: str) -> None:
    _launch(url)
    secrets.unseal(secrets.download(here.launch()), "AAAA", {"cluster_id": "", "node": ""})


def _archive(url: str) -> None:
    _launch(url)
    addons.archive("0" * 64)


def _roster(url: str) -> None:
    _launch(url)
    roster.refresh()


def _members(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(etcd.ssl, "create_default_context", lambda **_: _Trusting())
    if etcd.members_seen(url) is None:
        raise Failure("nobody is seen")


class _Trusting(ssl.SSLContext):
    def __new__(cls) -> _Trusting:
        return super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)

    def load_cert_chain(self, *_: object, **__: object) -> None:
        pass


def _download(url: str, part: Path) -> None:
    if not fetch.download(f"{url}/file", part, "0" * 64):
        raise Failure("not the file")


@pytest.fixture
def readers(tmp_path: Path, facts: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> dict[str, Callable[[str], None]]:
    return {
        "download": lambda url: _download(url, tmp_path / "part"),
        "lines": _lines,
        "api": lambda url: _api(url, monkeypatch),
        "roster": _roster,
        "secrets": _secrets,
        "archive": _archive,
        "members": lambda url: _members(url, monkeypatch),
    }


@pytest.mark.parametrize("reader", ["download", "lines", "api", "roster", "secrets", "archive", "members"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_reader_ends_in_a_failure(
    hostile: Callable[[Talk], str], readers: dict[str, Callable[[str], None]], kind: str, reader: str
) -> None:
    url = f"http://{hostile(KINDS[kind])}"
    begun = time.monotonic()
    with pytest.raises(Failure) as caught:
        readers[reader](url)
    assert time.monotonic() - begun < PATIENCE_SECONDS
    assert "canary" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("reader", ["ask", "lines"])
@pytest.mark.parametrize("kind", ["nothing is said", "the status drips", "a handshake drips", "no HTTP"])
def test_nor_is_a_handshake_waited_for(hostile: Callable[[Talk], str], kind: str, reader: str) -> None:
    # A record of TLS that promises much and hardly comes.
    talk = KINDS.get(kind) or drip(b"\x16\x03\x03\x3f\xff\x02\x00\x3f\xfb", b"\x00")
    url = f"https://{hostile(talk)}"
    begun = time.monotonic()
    with pytest.raises(Failure):
        fetch.ask(url) if reader == "ask" else _lines(url)
    assert time.monotonic() - begun < PATIENCE_SECONDS


def test_an_answer_in_time_is_whole(hostile: Callable[[Talk], str]) -> None:
    assert fetch.ask(f"http://{hostile(body(b'x' * 1000))}/")[1] == b"x" * 1000


def test_what_is_meant_is_deep_enough(hostile: Callable[[Talk], str]) -> None:
    deep = json.loads("[" * (here.DEPTH - 1) + "]" * (here.DEPTH - 1))
    assert here.parse(json.dumps(deep)) == deep
    with pytest.raises(Failure, match="nested more than 64 deep"):
        here.parse(json.dumps([[deep]]))


def test_no_connection_and_no_thread_is_left(hostile: Callable[[Talk], str]) -> None:
    url = f"http://{hostile(body(b'x'))}/"
    fetch.ask(url)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        fetch.ask(url)
    time.sleep(0.1)
    # The server's own ends are still open.
    assert len(list(Path("/proc/self/fd").iterdir())) - before <= 20
    assert not [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]
