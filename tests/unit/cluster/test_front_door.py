"""An ingress is asked as a visitor would; whatever answers, the answer is a status or none, and comes in time."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from generator.cluster import front_door

HOST, PATH = "limit-order-book.local", "/ob"


@contextmanager
def answering(*pieces: bytes, pause: float = 0.0, heard: list[bytes] | None = None) -> Iterator[int]:
    """Answer each connection with some pieces."""
    listener = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def serve() -> None:
        while not over.is_set():
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client:
                client.settimeout(10)
                try:
                    for piece in pieces:
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
    return front_door.status("127.0.0.1", HOST, PATH)


def test_a_page_is_asked_for_by_the_host_s_name(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[bytes] = []
    with answering(b"HTTP/1.1 200 OK\r\n\r\nbook", heard=heard) as port:
        assert asked(monkeypatch, port) == 200
    assert heard == [b"GET /ob HTTP/1.1\r\nHost: limit-order-book.local\r\nConnection: close\r\n\r\n"]


def test_a_proxy_leads_there() -> None:
    heard: list[bytes] = []
    with answering(b"HTTP/1.1 200 Connection established\r\n\r\n", b"HTTP/1.1 503 No\r\n\r\n", heard=heard) as port:
        assert front_door.status("28.51.100.9", HOST, PATH, f"http://127.0.0.1:{port}") == 503
    assert heard[0].startswith(b"CONNECT 28.51.100.9:80 HTTP/1.1\r\nHost: 28.51.100.9:80\r\n")


def test_a_proxy_that_refuses_is_no_answer_of_the_node() -> None:
    with answering(b"HTTP/1.1 502 Bad Gateway\r\n\r\n") as port:
        assert front_door.status("28.51.100.9", HOST, PATH, f"http://127.0.0.1:{port}") is None


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
