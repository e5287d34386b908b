"""Asks a node's ingress for a page as a visitor does, and believes nothing but the status of the answer."""

from __future__ import annotations

import socket
import time
from urllib.parse import urlsplit

LIMIT_BYTES, LIMIT_SECONDS = 64 * 1024, 5.0
"""Of the head of an answer."""
PORT = 80


def status(address: str, host: str, path: str, proxy: str | None = None) -> int | None:
    """Give the status with which an ingress answers; None where nobody answers in time, or nothing that is HTTP.

    Args:
        address: the node's public one.
        host: whose page is asked for.
        proxy: an HTTP CONNECT proxy on the way.
    """
    end = time.monotonic() + LIMIT_SECONDS
    via = urlsplit(proxy) if proxy else None
    first = (via.hostname or "", via.port or PORT) if via else (address, PORT)
    try:
        with socket.create_connection(first, timeout=LIMIT_SECONDS) as connection:
            if via is not None and _asked(connection, f"CONNECT {address}:{PORT}", f"{address}:{PORT}", end) != 200:
                return None
            return _asked(connection, f"GET {path}", host, end)
    except OSError:
        return None


def _asked(connection: socket.socket, what: str, host: str, end: float) -> int | None:
    """Send a request without a body, and read the head of the answer."""
    connection.sendall(f"{what} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    head = bytearray()
    while b"\r\n\r\n" not in head:
        left = end - time.monotonic()
        if left <= 0 or len(head) > LIMIT_BYTES:
            return None
        connection.settimeout(left)
        piece = connection.recv(4096)
        if not piece:
            break
        head += piece
    words = bytes(head).split(b"\r\n", 1)[0].split(b" ")
    is_http = len(words) >= 2 and words[0].startswith(b"HTTP/1.") and len(words[1]) == 3 and words[1].isdigit()
    return int(words[1]) if is_http else None
