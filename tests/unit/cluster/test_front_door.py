"""An ingress is asked as a visitor would; whatever answers, the answer is a status or none, and comes in time."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from generator.cluster import front_door
from generator.cluster.front_door import Trust
from generator.plan.serving import Given
from tests.keyring import NOW, planned
from tests.signed import Signed

HOST, PATH = "limit-order-book.local", "/ob"
AUTHORITY = Signed("authority")
OWN, LATER = Signed("order-book", AUTHORITY, HOST), Signed("order-book", AUTHORITY, HOST)
TRUST = Trust(AUTHORITY.pem.decode())


@contextmanager
def answering(
    *pieces: bytes,
    pause: float = 0.0,
    heard: list[bytes] | None = None,
    certificate: Signed | None = OWN,
    hops: int = 0,
) -> Iterator[int]:
    """Answer each connection with some pieces, over TLS after so many hops; without a certificate never."""
    listener = socket.create_server(("127.0.0.1", 0))
    context = certificate.context() if certificate else None
    over = threading.Event()

    def serve() -> None:
        while not over.is_set():
            try:
                client, _ = listener.accept()
            except OSError:
                return
            client.settimeout(10)
            try:
                try:
                    for number, piece in enumerate(pieces):
                        if context is not None and number == hops:
                            client = context.wrap_socket(client, server_side=True)
                        request = client.recv(4096)
                        if heard is not None:
                            heard.append(request)
                        client.sendall(piece)
                        for _ in range(1000 if pause else 0):
                            if over.wait(pause):
                                return
                            client.sendall(b"x")
                except OSError:
                    pass
            finally:
                client.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        over.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front_door, "LIMIT_SECONDS", 0.5)


def asked(monkeypatch: pytest.MonkeyPatch, port: int) -> int | None:
    monkeypatch.setattr(front_door, "PORT", port)
    return front_door.status("127.0.0.1", HOST, PATH, TRUST)


def test_a_page_is_asked_for_by_the_host_s_name(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[bytes] = []
    with answering(b"HTTP/1.1 200 OK\r\n\r\nbook", heard=heard) as port:
        assert asked(monkeypatch, port) == 200
    assert heard == [b"GET /ob HTTP/1.1\r\nHost: limit-order-book.local\r\nConnection: close\r\n\r\n"]


def test_a_proxy_leads_there() -> None:
    heard: list[bytes] = []
    said = (b"HTTP/1.1 200 Connection established\r\n\r\n", b"HTTP/1.1 503 No\r\n\r\n")
    with answering(*said, heard=heard, hops=1) as port:
        assert front_door.status("28.51.100.9", HOST, PATH, TRUST, f"http://127.0.0.1:{port}") == 503
    assert heard[0].startswith(b"CONNECT 28.51.100.9:443 HTTP/1.1\r\nHost: 28.51.100.9:443\r\n")


def test_a_proxy_that_refuses_is_no_answer_of_the_node() -> None:
    with answering(b"HTTP/1.1 502 Bad Gateway\r\n\r\n", certificate=None) as port:
        assert front_door.status("28.51.100.9", HOST, PATH, TRUST, f"http://127.0.0.1:{port}") is None


PAGE = b"HTTP/1.1 200 OK\r\n\r\nbook"


@pytest.mark.parametrize(
    ("trust", "certificate", "status"),
    [
        (TRUST, OWN, 200),
        (TRUST, LATER, 200),
        (TRUST, Signed("order-book", Signed("authority"), HOST), None),
        (TRUST, Signed("order-book", AUTHORITY, "other.local"), None),
        (TRUST, Signed("order-book", AUTHORITY, HOST, end=NOW), None),
        (Trust(sha256=OWN.sha256), OWN, 200),
        (Trust(sha256=OWN.sha256), LATER, None),
        (Trust(), OWN, None),
    ],
)
def test_nobody_is_believed_who_is_not_the_host(
    monkeypatch: pytest.MonkeyPatch, trust: Trust, certificate: Signed, status: int | None
) -> None:
    with answering(PAGE, certificate=certificate) as port:
        monkeypatch.setattr(front_door, "PORT", port)
        assert front_door.status("127.0.0.1", HOST, PATH, trust) == status


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\n\r\n", b"\x16\x03\x03\x00\x7a\x02"])
def test_who_speaks_no_tls_or_never_ends_to_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, said: bytes) -> None:
    begun = time.monotonic()
    with answering(said, pause=0.1, certificate=None) as port:
        assert asked(monkeypatch, port) is None
        assert time.monotonic() - begun < 3


def test_the_plan_says_whom_to_believe() -> None:
    plan = replace(planned(), authorities={"ingress-ca": "PEM"})
    assert front_door.trusted(plan) == Trust("PEM")
    assert front_door.trusted(replace(plan, given=Given("tls.crt", "tls.key", "ab"))) == Trust(sha256="ab")


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 x00 OK\r\n\r\n",
        b"HTTP/1.1 20000 OK\r\n\r\n",
        b"HTTP/1.1 -20 OK\r\n\r\n",
        b"\xff\x00" * 50 + b"\r\n\r\n",
        "HTTP/1.1 \u0661\u0661\u0661 OK\r\n\r\n".encode(),
    ],
)
def test_what_is_no_answer_is_none(monkeypatch: pytest.MonkeyPatch, said: bytes) -> None:
    with answering(said) as port:
        assert asked(monkeypatch, port) is None


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\nX: "], ids=["nothing", "a head without end"])
def test_who_is_slow_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, said: bytes) -> None:
    begun = time.monotonic()
    with answering(said, pause=0.1) as port:
        assert asked(monkeypatch, port) is None
        assert time.monotonic() - begun < 3


def test_a_head_that_is_too_long_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000) as port:
        assert asked(monkeypatch, port) is None


def test_nobody_there_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = int(listener.getsockname()[1])
    assert asked(monkeypatch, port) is None
