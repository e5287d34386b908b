"""Asks a node's ingress for a page as a visitor does, over TLS, and believes nothing but the status of the answer."""

from __future__ import annotations

import selectors
import socket
import ssl
import time
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import urlsplit

from generator.plan.certificates import INGRESS_AUTHORITY
from generator.plan.decide import Plan

LIMIT_BYTES, LIMIT_SECONDS = 64 * 1024, 5.0
"""Of the head of an answer."""
PORT = 443


@dataclass(frozen=True)
class Trust:
    """Which certificate is believed: one that an authority has signed, in PEM, or the one with this SHA-256."""

    authority: str = ""
    sha256: str = ""


def trusted(plan: Plan) -> Trust:
    """Say with which certificate the order book is served: one of the cluster's own authority, or the user's."""
    return Trust(sha256=plan.given.sha256) if plan.given else Trust(plan.authorities.get(INGRESS_AUTHORITY, ""))


def status(address: str, host: str, path: str, trust: Trust, proxy: str | None = None) -> int | None:
    """Give the status with which an ingress answers.

    None where nobody answers in time, where the certificate is another's, or where it is nothing that is HTTP.

    Args:
        address: the node's public one.
        host: whose page is asked for.
        path: the page.
        trust: whom to believe that it is the host.
        proxy: an HTTP CONNECT proxy on the way.
    """
    end = time.monotonic() + LIMIT_SECONDS
    via = urlsplit(proxy) if proxy else None
    first = (via.hostname or "", via.port or PORT) if via else (address, PORT)
    try:
        with socket.create_connection(first, timeout=LIMIT_SECONDS) as connection:
            if via is not None and _asked(connection, f"CONNECT {address}:{PORT}", f"{address}:{PORT}", end) != 200:
                return None
            with _secured(connection, host, trust, end) as secured:
                return _asked(secured, f"GET {path}", host, end)
    except OSError:
        return None


def _secured(connection: socket.socket, host: str, trust: Trust, end: float) -> ssl.SSLSocket:
    """Go over to TLS before the time is up, with who is trusted."""
    if trust.authority:
        context = ssl.create_default_context(cadata=trust.authority)
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        # its own bytes are compared, which says more than any signature
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    with ExitStack() as unless_trusted:
        secured = context.wrap_socket(connection, server_hostname=host, do_handshake_on_connect=False)
        unless_trusted.enter_context(secured)
        _shake_hands(secured, end)
        found = secured.getpeercert(binary_form=True) or b""
        if not trust.authority and sha256(found).hexdigest() != trust.sha256:
            raise ssl.SSLCertVerificationError("another certificate")
        unless_trusted.pop_all()
    return secured


def _shake_hands(secured: ssl.SSLSocket, end: float) -> None:
    """Wait for the whole of the handshake, not for each of its pieces: a server may send them one by one."""
    secured.setblocking(False)
    with selectors.DefaultSelector() as selector:
        selector.register(secured, selectors.EVENT_READ)
        while True:
            try:
                secured.do_handshake()
                return
            except ssl.SSLWantReadError:
                selector.modify(secured, selectors.EVENT_READ)
            except ssl.SSLWantWriteError:
                selector.modify(secured, selectors.EVENT_WRITE)
            left = end - time.monotonic()
            if left <= 0 or not selector.select(left):
                raise TimeoutError("no handshake")


def _asked(connection: socket.socket, what: str, host: str, end: float) -> int | None:
    """Send a request without a body, and read the head of the answer."""
    connection.settimeout(LIMIT_SECONDS)
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
