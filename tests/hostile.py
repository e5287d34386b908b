"""Servers that do whatever a server should not, for readers that have to end all the same."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

OK = b"HTTP/1.1 200 OK\r\n"

Talk = Callable[[socket.socket], None]


def drip(start: bytes, piece: bytes) -> Talk:
    """Say the beginning, then the piece, one byte at a time, over and over."""

    def talk(peer: socket.socket) -> None:
        peer.sendall(start)
        while True:
            for byte in piece:
                peer.sendall(bytes([byte]))
                time.sleep(0.05)

    return talk


def pour(start: bytes, piece: bytes) -> Talk:
    """Say the beginning, then the piece as fast as it goes, without end."""

    def talk(peer: socket.socket) -> None:
        peer.sendall(start)
        while True:
            peer.sendall(piece)

    return talk


def say(answer: bytes) -> Talk:
    return lambda peer: peer.sendall(answer)


def body(content: bytes) -> Talk:
    return say(OK + b"Content-Length: %d\r\n\r\n" % len(content) + content)


# Kinds of hostility; of each, no reader may make anything but a failure.
KINDS: dict[str, Talk] = {
    "nothing is said": lambda _: time.sleep(60),
    "the status drips": drip(b"", b"HTTP/1.1 200 OK"),
    "headers drip": drip(OK, b"X-A: b\r\n"),
    "one header drips": drip(OK + b"X-A: ", b"b"),
    "informational answers without end": drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "a body of a length drips": drip(OK + b"Content-Length: 9999999\r\n\r\n", b"x"),
    "a body without a length drips": drip(OK + b"\r\n", b"x"),
    "chunks drip": drip(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "the length of a chunk drips": drip(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"0"),
    "trailers drip": drip(OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X-A: b\r\n"),
    "a refusal drips": drip(b"HTTP/1.1 503 No\r\n\r\n", b"x"),
    "headers without end": pour(OK, b"X-A: b\r\n"),
    "a header without end": pour(OK + b"X-A: ", b"b" * 65536),
    "a body without end": pour(OK + b"\r\n", b"x" * 65536),
    "a body of no length": say(OK + b"Content-Length: many\r\n\r\n"),
    "chunks without end": pour(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"8000\r\n" + b"x" * 0x8000 + b"\r\n"),
    "a chunk of no length": say(OK + b"Transfer-Encoding: chunked\r\n\r\n-5\r\nxxxxx\r\n"),
    "a body breaks off": say(OK + b"Content-Length: 100\r\n\r\nx"),
    "no HTTP": say(b"\x16\x03\x01\x00\xff" * 40),
    "nothing at all": say(b""),
    "a status that is none": say(b"HTTP/1.1 -1 x\r\n\r\n"),
    "redirected to itself": say(b"HTTP/1.1 302 Found\r\nLocation: /file\r\nContent-Length: 0\r\n\r\n"),
    "redirected to a file": say(b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n"),
    "redirected to no address": say(b"HTTP/1.1 302 Found\r\nLocation: http://[\r\nContent-Length: 0\r\n\r\n"),
    "nested without end": body(b'{"a":' * 100_000),
    "nested, and whole": body(b'{"a":' * 900 + b"1" + b"}" * 900),
    "no JSON": body(b"{\xff"),
}


@contextmanager
def serving(context: ssl.SSLContext | None = None) -> Iterator[Callable[[Talk], str]]:
    """Give what starts talking to everyone as it is told, over TLS with a context, and says its host and port."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    peers: list[socket.socket] = []

    def start(talk: Talk) -> str:
        def serve(peer: socket.socket) -> None:
            try:
                with suppress(OSError):
                    if context is not None:
                        peer = context.wrap_socket(peer, server_side=True)
                        peers.append(peer)
                    talk(peer)
                    peer.shutdown(socket.SHUT_WR)
            finally:
                peer.close()

        def accept() -> None:
            with suppress(OSError):
                while True:
                    peer, _ = listener.accept()
                    peers.append(peer)
                    threading.Thread(target=serve, args=(peer,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        return f"127.0.0.1:{listener.getsockname()[1]}"

    try:
        yield start
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for peer in peers:
            peer.close()
