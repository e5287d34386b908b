"""Gives the agent a node of its own below a temporary directory, and a store that answers as it is told."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from generator.files import resource

sys.path.insert(0, str(resource("userdata") / "agent/usr/local/lib"))

from hardway import here, timeline

CLUSTER_ID = "3f0e8a52-6a8e-4b0e-9f4c-1a2b3c4d5e6f"
FACTS: dict[str, Any] = {
    "cluster_id": CLUSTER_ID,
    "node": "node01",
    "role": "control-plane",
    "schedulable": True,
    "address": "10.44.0.1",
    "pod_cidr": "10.42.0.0/24",
    "vpc": "10.110.0.0/20",
    "mtu": 1420,
    "datapath": "mesh",
    "network": "bridge",
    "wireguard_port": 51820,
    "api_port": 6443,
    "balancer_port": 7443,
    "bundle_sha256": "",
    "operator_public_key": "",
}


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty node."""
    monkeypatch.setattr(here, "ROOT", tmp_path / "node")
    timeline._beginning.cache_clear()
    monkeypatch.setenv("no_proxy", "*")
    (tmp_path / "node").mkdir()
    return tmp_path / "node"


@pytest.fixture
def facts() -> dict[str, Any]:
    """What the document says of the node; a test may change it and write it again."""
    found = json.loads(json.dumps(FACTS))
    here.write(here.FACTS, json.dumps(found))
    return dict(found)


@dataclass
class Store:
    """An HTTP server: `answers` by path, each an answer or a function of the request's headers."""

    url: str = ""
    answers: dict[str, Any] = field(default_factory=dict)
    requests: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)


@dataclass(frozen=True)
class Answer:
    """One answer; `cut` bytes of the body are left out although they were promised."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut: int = 0


@pytest.fixture
def store() -> Iterator[Store]:
    """A store on this machine."""
    state = Store()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(b"")

        def do_PUT(self) -> None:
            self._answer(self.rfile.read(int(self.headers["Content-Length"])))

        def _answer(self, sent: bytes) -> None:
            path = self.path.partition("?")[0]
            state.requests.append((self.command, path, dict(self.headers.items()), sent))
            found = state.answers.get(path, Answer(status=404))
            answer = found(self.headers) if callable(found) else found
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            with suppress(ConnectionError):  # who has heard enough hangs up
                self.wfile.write(answer.body[: len(answer.body) - answer.cut])

        def send_response(self, code: int, message: str | None = None) -> None:
            self.send_response_only(code, message)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    yield state
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def launch(store: Store) -> dict[str, Any]:
    """What came beside the document, as cloud-init leaves it."""
    found = {
        "version": 1,
        "node": "node01",
        "bundle_url": f"{store.url}/bundle?X-Amz-Signature=canary",
        "bundle_key": "",
        "roster_url": f"{store.url}/roster.json",
        "addons_url": f"{store.url}/public/",
        "status_url": f"{store.url}/status?X-Amz-Signature=canary",
        "generation": 100,
        "expires": f"{datetime.now(UTC) + timedelta(hours=2):%Y-%m-%dT%H:%M:%SZ}",
    }
    here.write(here.LAUNCH, json.dumps(found))
    return found


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The commands that were run instead of running them; they print nothing."""
    found: list[tuple[str, ...]] = []

    def run(*argv: str, **_: object) -> str:
        found.append(argv)
        return ""

    monkeypatch.setattr(here, "run", run)
    return found


Clock = Callable[[], float]


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Pauses take no time, but the monotonic clock goes on by them; gives their lengths."""
    import time

    paused: list[float] = []
    monkeypatch.setattr(time, "sleep", paused.append)
    monkeypatch.setattr(time, "monotonic", lambda: sum(paused))
    return paused
