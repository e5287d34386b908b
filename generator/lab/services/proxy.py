"""Is the one way from the host into the lab: an HTTP proxy on a loopback port that knows the lab's names alone."""

from __future__ import annotations

import contextlib
import re
import selectors
import socket
import threading
from collections.abc import Callable
from urllib.parse import urlsplit

Address = tuple[str, int]
Resolve = Callable[[str], str | None]
Connect = Callable[[Address], socket.socket]

_LARGEST_HEAD = 65536
_HEAD_SECONDS = 30.0
_CHUNK = 65536
_AUTHORITY = re.compile(r"(?P<host>[A-Za-z0-9.-]+):(?P<port>[0-9]{1,5})")


class Relay:
    """Accepts connections and gives each one, by a thread of its own, to a function that leads it on."""

    def __init__(self, listener: socket.socket, lead: Callable[[socket.socket], None]) -> None:
        self._listener = listener
        self._lead = lead
        self._thread = threading.Thread(target=self._accept, name="relay", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """Give the local port."""
        return int(self._listener.getsockname()[1])

    def close(self) -> None:
        """Stop accepting; what is under way ends by itself."""
        # a thread that waits in accept is woken by shutdown, not by close
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            self._lead(client)


def proxy(resolve: Resolve, connect: Connect) -> Callable[[socket.socket], None]:
    """Make the function that serves one client of the proxy.

    `CONNECT` opens a tunnel; a plain `http://` request is passed on alone, and its connection closed after it.

    Args:
        resolve: the address of a host's name (or of an address), or nothing when the lab hasn't got it.
        connect: opens the connection from the place where the operator sits.
    """

    def lead(client: socket.socket) -> None:
        head, rest = _read_head(client)
        words = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
        if len(words) != 3:
            _refuse(client, 400, "not an HTTP request")
            return
        target = _target(words[0], words[1])
        if target is None:
            _refuse(client, 400, "not the address of a host")
            return
        found = resolve(target[0])
        if found is None:
            _refuse(client, 403, f"the lab knows no host {target[0]}")
            return
        try:
            server = connect((found, target[1]))
        except OSError as error:
            _refuse(client, 502, f"{target[0]}:{target[1]} can't be reached: {error.strerror or error}")
            return
        with server:
            if words[0] == "CONNECT":
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                server.sendall(rest)
            else:
                server.sendall(_origin_form(head, words) + rest)
            join(client, server)

    return lead


def forward(target: Callable[[], Address | None], connect: Connect) -> Callable[[socket.socket], None]:
    """Make the function that leads each client to one address, looked up anew for each."""

    def lead(client: socket.socket) -> None:
        address = target()
        if address is None:
            return
        with connect(address) as server:
            join(client, server)

    return lead


def join(one: socket.socket, other: socket.socket) -> None:
    """Pass bytes both ways until both sides have said all they have to say."""
    one.settimeout(None)
    other.settimeout(None)
    with selectors.DefaultSelector() as selector:
        selector.register(one, selectors.EVENT_READ, (one, other))
        selector.register(other, selectors.EVENT_READ, (other, one))
        while selector.get_map():
            for key, _ in selector.select():
                speaker, listener = key.data
                data = speaker.recv(_CHUNK)
                if data:
                    listener.sendall(data)
                    continue
                selector.unregister(speaker)
                listener.shutdown(socket.SHUT_WR)


def _read_head(client: socket.socket) -> tuple[bytes, bytes]:
    client.settimeout(_HEAD_SECONDS)
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = client.recv(_CHUNK)
        if not chunk or len(data) > _LARGEST_HEAD:
            return b"", b""
        data += chunk
    head, _, rest = data.partition(b"\r\n\r\n")
    return head, rest


def _target(method: str, where: str) -> Address | None:
    if method == "CONNECT":
        found = _AUTHORITY.fullmatch(where)
        return (found["host"].lower(), int(found["port"])) if found and 0 < int(found["port"]) < 65536 else None
    try:
        parts = urlsplit(where)
        port = parts.port or 80
    except ValueError:
        return None
    return (parts.hostname, port) if parts.scheme == "http" and parts.hostname else None


def _origin_form(head: bytes, words: list[str]) -> bytes:
    parts = urlsplit(words[1])
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    lines = head.split(b"\r\n")[1:]
    kept = [line for line in lines if not line.lower().startswith((b"connection:", b"proxy-"))]
    start = f"{words[0]} {path} {words[2]}".encode("latin-1")
    return b"\r\n".join([start, *kept, b"Connection: close", b"", b""])


def _refuse(client: socket.socket, status: int, words: str) -> None:
    body = f"{words}\n".encode()
    reasons = {400: "Bad Request", 403: "Forbidden", 502: "Bad Gateway"}
    head = f"HTTP/1.1 {status} {reasons[status]}\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n"
    client.sendall(f"{head}Connection: close\r\n\r\n".encode() + body)
