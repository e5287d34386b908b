"""Asks single addresses as anybody would: no key, no retries, no redirects; and knocks at a droplet's port."""

from __future__ import annotations

import http.client
import socket
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from generator import bounded, deadline
from generator.provider.connection import Connection

LIMIT_BYTES, LIMIT_SECONDS = 1 << 20, 30.0


class Wire:
    """The way from here, by a proxy where there is one."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @cached_property
    def _pool(self) -> Any:
        import urllib3  # slow to import

        context = deadline.context(self._connection.ca_file)
        options: dict[str, Any] = {"ssl_context": context, "retries": False, "timeout": urllib3.Timeout(10, 20)}
        proxy = self._connection.proxy
        return urllib3.ProxyManager(proxy, **options) if proxy else urllib3.PoolManager(**options)

    def ask(self, url: str, body: bytes | None = None) -> int | None:
        """Get an address, or put something there; give the status, None where nobody answers within bounds.

        What is put goes as a node puts it, with the header that Python's library adds.
        """
        from urllib3.exceptions import HTTPError

        headers = {} if body is None else {"Content-Type": "application/x-www-form-urlencoded"}
        method = "GET" if body is None else "PUT"
        try:
            with deadline.within(LIMIT_SECONDS):
                answer = self._pool.request(
                    method, url, body=body, headers=headers, redirect=False, preload_content=False
                )
                try:
                    bounded.read(answer.read1, limit_bytes=LIMIT_BYTES, seconds=LIMIT_SECONDS)
                finally:
                    answer.close()
        except (HTTPError, OSError, bounded.TooMuch):
            return None
        return int(answer.status)

    def is_open(self, address: str, port: int) -> bool:
        """Tell whether a droplet's port takes a connection."""
        proxy = urlsplit(self._connection.proxy) if self._connection.proxy else None
        if proxy is None:
            try:
                socket.create_connection((address, port), 1).close()
            except OSError:
                return False
            return True
        tunnel = http.client.HTTPConnection(str(proxy.hostname), proxy.port, timeout=1)
        tunnel.set_tunnel(address, port)
        try:
            tunnel.connect()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            tunnel.close()
        return True
