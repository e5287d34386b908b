"""Asks addresses without any credential, as a node does, within bounds of bytes and of seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from generator import bounded, deadline
from generator.errors import Problem
from generator.provider.connection import Connection

if TYPE_CHECKING:
    from urllib3 import PoolManager

LIMIT_BYTES, LIMIT_SECONDS = 64 * 1024 * 1024, 120.0
"""Of an answer: the longest that is asked for is a Debian package."""
NODES_HEADERS: Mapping[str, str] = {"Content-Type": "application/x-www-form-urlencoded"}
"""What a node's PUT says besides what every request does: Python's own default, which a signature doesn't cover."""
_CONNECT_SECONDS, _READ_SECONDS = 10.0, 30.0


@dataclass(frozen=True)
class Visit:
    """What was answered."""

    status: int
    body: bytes


class Visitor:
    """Whoever has an address and nothing else; goes the way of the connection, its credentials stay at home."""

    def __init__(self, connection: Connection) -> None:
        self._proxy, self._ca_file = connection.proxy, connection.ca_file

    @cached_property
    def _pool(self) -> PoolManager:
        import urllib3

        timeout = urllib3.Timeout(connect=_CONNECT_SECONDS, read=_READ_SECONDS)
        context = deadline.context(self._ca_file)
        if self._proxy:
            return urllib3.ProxyManager(self._proxy, ssl_context=context, timeout=timeout, retries=False)
        return urllib3.PoolManager(ssl_context=context, timeout=timeout, retries=False)

    def ask(
        self,
        method: str,
        url: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        limit_bytes: int = LIMIT_BYTES,
    ) -> Visit:
        """Send one request, and give the answer whatever its status is.

        Raises:
            Problem: there is no answer, or it is longer than meant; the message names the host, never the address.
        """
        import urllib3

        host = urlsplit(url).netloc
        try:
            with deadline.within(LIMIT_SECONDS):
                answer = self._pool.urlopen(
                    method, url, body=body, headers=dict(headers or {}), redirect=False, preload_content=False
                )
                try:
                    return Visit(
                        answer.status, bounded.read(answer.read1, limit_bytes=limit_bytes, seconds=LIMIT_SECONDS)
                    )
                finally:
                    answer.close()
        except bounded.TooMuch as error:
            raise Problem(f"sends {error}", where=host) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise Problem(f"can't be reached: {type(error).__name__}", where=host) from error
