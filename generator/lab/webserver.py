"""Serves HTTP on a socket that somebody made: one thread for each connection, one function for all requests."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import TCPServer, ThreadingMixIn
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from generator.errors import Problem

_LONGEST_SOCKET_PATH = 107
"""Source: unix(7), `sun_path` has 108 bytes with its final zero."""
_LARGEST_BODY = 4 * 1024 * 1024


@dataclass(frozen=True)
class Call:
    """One request; header names are in lower case, `peer` is the caller's address where there is one."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    peer: str = ""


@dataclass(frozen=True)
class Reply:
    """One answer."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


Responder = Callable[[Call], Reply]


class Server:
    """Answers on one listening socket until it is closed."""

    def __init__(self, listener: socket.socket, respond: Responder, tls: ssl.SSLContext | None = None) -> None:
        if tls:
            # the handshake is the connection's own thread's business; a silent client must not stop the others
            listener = tls.wrap_socket(listener, server_side=True, do_handshake_on_connect=False)
        self._address = listener.getsockname()
        self._server = _Server(listener, respond)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """Give the port of a TCP listener."""
        return int(self._address[1])

    def close(self) -> None:
        """Stop listening; a socket file goes with it."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        if isinstance(self._address, str):
            Path(self._address).unlink(missing_ok=True)


def unix_listener(path: Path) -> socket.socket:
    """Listen on a socket file that only the owner can reach.

    Raises:
        Problem: the path is longer than the kernel takes.
    """
    if len(os.fsencode(path)) > _LONGEST_SOCKET_PATH:
        raise Problem(f"the path of the socket {path} is too long", hint="choose a shorter `HARDWAY_LABS`")
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(before)
    listener.listen(128)
    return listener


def tcp_listener(address: str, port: int) -> socket.socket:
    """Listen on an address of the network namespace that the thread is in."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    return listener


class _Server(ThreadingMixIn, TCPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, listener: socket.socket, respond: Responder) -> None:
        super().__init__(("", 0), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.respond = respond

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Let a client that went away be; anything else is the lab's own mistake and belongs into its log."""
        import sys

        if not isinstance(sys.exc_info()[1], ConnectionError | ssl.SSLError | TimeoutError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "lab"
    sys_version = ""
    timeout = 120
    wbufsize = -1
    server: _Server

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        length = self.headers.get("Content-Length") or "0"
        if not length.isdecimal() or int(length) > _LARGEST_BODY:
            self.close_connection = True
            self._send(Reply(413))
            return
        call = Call(
            method=self.command,
            path=unquote(parts.path),
            query=dict(parse_qsl(parts.query, keep_blank_values=True)),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self.rfile.read(int(length)),
            peer=str(self.client_address[0]) if self.client_address else "",
        )
        self._send(self.server.respond(call))

    def _send(self, reply: Reply) -> None:
        with contextlib.suppress(ConnectionError):
            self.send_response_only(reply.status)
            self.send_header("Server", self.server_version)
            # who answers may have a clock of its own
            if "date" not in reply.headers:
                self.send_header("Date", self.date_time_string())
            for name, value in reply.headers.items():
                self.send_header(name, value)
            if reply.status != 204:
                self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(reply.body)
            self.wfile.flush()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815 - names of the base class

    def log_message(self, *_arguments: object) -> None:
        """Say nothing: who wants a log keeps one of their own."""
