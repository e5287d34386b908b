"""The proxy leads to what the lab knows and nowhere else."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from generator.lab.services.hosts import Hosts
from generator.lab.services.proxy import Address, Relay, forward, proxy
from generator.lab.webserver import tcp_listener


class Echo:
    """Answers each connection with what it was sent, when that has ended."""

    def __init__(self) -> None:
        self.listener = tcp_listener("127.0.0.1", 0)
        self.port = int(self.listener.getsockname()[1])
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            with client:
                data = b""
                while chunk := client.recv(4096):
                    data += chunk
                client.sendall(b"<" + data + b">")

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.listener.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.close()


@pytest.fixture
def relay(echo: Echo) -> Iterator[Relay]:
    hosts = Hosts.of(["dl.k8s.io"])

    def resolve(host: str) -> str | None:
        return "127.0.0.1" if hosts.is_known(host) or host == "203.0.113.101" else None

    def connect(address: Address) -> socket.socket:
        if address[1] == 9:
            raise ConnectionRefusedError(111, "Connection refused")
        return socket.create_connection((address[0], echo.port))

    server = Relay(tcp_listener("127.0.0.1", 0), proxy(resolve, connect))
    yield server
    server.close()


def say(port: int, text: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), 5) as client:
        client.sendall(text)
        client.shutdown(socket.SHUT_WR)
        data = b""
        while chunk := client.recv(4096):
            data += chunk
        return data


@pytest.mark.parametrize(
    "host", ["dl.k8s.io", "DL.k8s.io", "api.digitalocean.com", "bucket.fra1.digitaloceanspaces.com", "203.0.113.101"]
)
def test_known_hosts_get_a_tunnel_in_both_directions(relay: Relay, host: str) -> None:
    answer = say(relay.port, f"CONNECT {host}:443 HTTP/1.1\r\nHost: x\r\n\r\nhello".encode())
    assert answer == b"HTTP/1.1 200 Connection established\r\n\r\n<hello>"


@pytest.mark.parametrize(
    "host",
    [
        "example.com",
        "dl.k8s.io.example.com",
        "a.b.fra1.digitaloceanspaces.com",
        "127.0.0.1",
        "203.0.113.102",
        "1.1.1.1",
    ],
)
def test_unknown_hosts_are_refused(relay: Relay, host: str) -> None:
    answer = say(relay.port, f"CONNECT {host}:443 HTTP/1.1\r\n\r\nhello".encode())
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert host.encode() in answer
    assert b"<" not in answer


def test_plain_requests_are_passed_on_alone(relay: Relay) -> None:
    answer = say(
        relay.port,
        b"GET http://203.0.113.101/ob?x=1 HTTP/1.1\r\nHost: h\r\nProxy-A: b\r\nConnection: keep-alive\r\n\r\n",
    )
    assert answer == b"<GET /ob?x=1 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n>"
    assert say(relay.port, b"GET http://example.com/ HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 403 ")


@pytest.mark.parametrize(
    "request_line",
    [
        b"GET / HTTP/1.1",
        b"CONNECT dl.k8s.io HTTP/1.1",
        b"CONNECT dl.k8s.io:0 HTTP/1.1",
        b"CONNECT [::1]:443 HTTP/1.1",
        b"x",
    ],
)
def test_nonsense_is_400(relay: Relay, request_line: bytes) -> None:
    assert say(relay.port, request_line + b"\r\n\r\n").startswith(b"HTTP/1.1 400 ")


def test_a_server_that_does_not_answer_is_502(relay: Relay) -> None:
    answer = say(relay.port, b"CONNECT dl.k8s.io:9 HTTP/1.1\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 502 ")
    assert b"Connection refused" in answer


def test_forward_leads_to_its_one_address(echo: Echo) -> None:
    server = Relay(tcp_listener("127.0.0.1", 0), forward(lambda: ("127.0.0.1", echo.port), socket.create_connection))
    try:
        assert say(server.port, b"hello") == b"<hello>"
    finally:
        server.close()
