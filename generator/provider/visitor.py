"""Asks addresses without any credential, as a node does, within bounds of bytes and of seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from generator import bounded, deadline
from generator.errors import Problem
from generator.provider.connection import Connection

if TYPE_CHECKING:
    from urllib3 import PoolManager

LIMIT_BYTES, LIMIT_SECONDS = 64 * 1024 * 1024, 120.0
"""Of an answer: the longest that is asked for is a Debian package."""
NODES_HEADERS: Mapping[str, str] = {"Content-Type": "application/x-www-form-urlencoded"}
"""What a node's PUT says besides what every request does: Python's own default, which a signature doesn't cover."""
FILE_BYTES, FILE_SECONDS = 5 * 1024**3, 1800.0
"""Of a file: one object is no longer than that. Source: https://docs.digitalocean.com/products/spaces/details/limits/"""
REDIRECTS = 5
OK = 200
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

    def download(self, url: str, path: Path, *, limit_bytes: int = FILE_BYTES) -> str:
        """Write what lies at an address into a file, and give its SHA-256; other hosts are followed to.

        Raises:
            Problem: it is not there, or is longer than meant; the message names the host, never the address.
        """
        import urllib3

        host, digest = urlsplit(url).netloc, sha256()
        try:
            with deadline.within(FILE_SECONDS), path.open("wb") as file:
                for _ in range(REDIRECTS):
                    answer = self._pool.urlopen("GET", url, redirect=False, preload_content=False)
                    if not answer.get_redirect_location():
                        break
                    url = urljoin(url, str(answer.get_redirect_location()))
                    answer.close()
                    if not url.startswith("https://"):
                        raise Problem("sends elsewhere, without TLS", where=host)
                try:
                    if answer.status != OK:
                        raise Problem(f"answered {answer.status}", where=host)
                    count = 0
                    while piece := answer.read1(bounded.PIECE_BYTES):
                        count += len(piece)
                        if count > limit_bytes:
                            raise Problem(f"sends more than {limit_bytes:,} bytes", where=host)
                        digest.update(piece)
                        file.write(piece)
                finally:
                    answer.close()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise Problem(f"can't be reached: {type(error).__name__}", where=host) from error
        return digest.hexdigest()

    def upload(self, url: str, path: Path) -> None:
        """Put a file to a signed address.

        Raises:
            Problem: it is not taken.
        """
        import urllib3

        host, headers = urlsplit(url).netloc, {**NODES_HEADERS, "Content-Length": str(path.stat().st_size)}
        try:
            with deadline.within(FILE_SECONDS), path.open("rb") as file:
                answer = self._pool.urlopen("PUT", url, body=file, headers=headers, redirect=False)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise Problem(f"can't be reached: {type(error).__name__}", where=host) from error
        if answer.status != OK:
            raise Problem(f"answered {answer.status}", where=host)
