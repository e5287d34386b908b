"""Downloads files of a lock into the cache: from the first of their addresses that has the right content, resumable."""

from __future__ import annotations

import os
import queue
import socket
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import urllib3

from generator import bounded, deadline
from generator.errors import Problem
from generator.lab.content.cache import Cache, file_sha256
from generator.lab.progress import Progress
from generator.release import registry
from generator.release.lock_file import CEILING_BYTES

ATTEMPTS = 3
MEBIBYTE = 1 << 20
# small, because what has not filled a chunk when the connection breaks is lost
CHUNK_BYTES = 1 << 16
SMALL_BYTES, SMALL_SECONDS = 64 * MEBIBYTE, 120.0
"""Of a file that is read at once: a list of packages."""
NONE: Mapping[str, str] = {}
# how long a host may take to show that it is there; the name server's time is in it
CONTACT_SECONDS = 5.0
PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class _Wanted:
    """A file that an address may have."""

    name: str
    sha256: str
    headers: Mapping[str, str]
    limit_bytes: int


@dataclass
class Fetcher:
    """An HTTP client that remembers which hosts cannot be reached, so that each is waited for once."""

    cache: Cache
    progress: Progress
    unreachable: set[str] = field(default_factory=set)
    reached: set[str] = field(default_factory=set)
    answered: set[str] = field(default_factory=set)
    impatient: urllib3.PoolManager = field(default_factory=registry.pool)
    pool: urllib3.PoolManager = field(
        default_factory=lambda: urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=CONTACT_SECONDS, read=30),
            retries=urllib3.Retry(5, connect=0, read=1, other=0, respect_retry_after_header=False),
            ssl_context=deadline.context(),
        )
    )

    def reaches(self, url: str) -> bool:
        """Tell whether an address's host takes connections; a host is tried once, and for seconds."""
        parts = urlsplit(url)
        if parts.netloc not in self.reached | self.unreachable:
            port = parts.port or PORTS[parts.scheme]
            there = _takes_connections(str(parts.hostname), port, CONTACT_SECONDS)
            (self.reached if there else self.unreachable).add(parts.netloc)
        return parts.netloc in self.reached

    def lose(self, host: str) -> None:
        """Ask a host no more: it takes connections and does not answer, or not any longer."""
        self.reached.discard(host)
        self.unreachable.add(host)

    def file(
        self, name: str, urls: Sequence[str], sha256: str, *, headers: Mapping[str, str] = NONE, size: int | None = None
    ) -> bool:
        """Have the content in the cache, from there or from one of the addresses; tell whether it is there now.

        Args:
            headers: what is said with each request.
            size: how many bytes it has, where that is known; no more is written of what is sent.
        """
        wanted = _Wanted(name, sha256, headers, size or CEILING_BYTES)
        return self.cache.has(sha256) or any(self._from(url, wanted) for url in urls)

    def bytes(self, url: str) -> bytes:
        """Read a small file.

        Raises:
            Problem: it cannot be had.
        """
        if not self.reaches(url):
            raise Problem("the host cannot be reached", where=url)
        try:
            with deadline.within(SMALL_SECONDS):
                answer = self.pool.request("GET", url, preload_content=False)
                try:
                    data = bounded.read(answer.read1, limit_bytes=SMALL_BYTES, seconds=SMALL_SECONDS)
                finally:
                    answer.close()
        except bounded.TooMuch as error:
            raise Problem(f"is no small file: {error}", where=url) from error
        except urllib3.exceptions.HTTPError as error:
            raise Problem(f"cannot be read: {_reason(error)}", where=url) from error
        if answer.status != 200:
            raise Problem(f"the server answered {answer.status}", where=url)
        return data

    def _from(self, url: str, wanted: _Wanted) -> bool:
        host, name = urlsplit(url).netloc, wanted.name
        part = self.cache.partial(wanted.sha256)
        for _ in range(ATTEMPTS):
            if host in self.unreachable:
                return False
            if not self.reaches(url):
                self.progress.step(name, f"{host} cannot be reached")
                return False
            try:
                if not self._receive(url, wanted):
                    return False
            except urllib3.exceptions.MaxRetryError:
                self.lose(host)
                self.progress.step(name, f"{host} does not answer")
                return False
            except urllib3.exceptions.HTTPError as error:
                # cut off in the middle: the next attempt goes on from there
                self.progress.step(name, f"{host}: {_reason(error)}")
                continue
            if file_sha256(part) == wanted.sha256:
                self.cache.adopt(part)
                return True
            part.unlink()
            self.progress.step(name, f"{url} has other content than the lock says")
        return False

    def _receive(self, url: str, wanted: _Wanted) -> bool:
        name, part = wanted.name, self.cache.partial(wanted.sha256)
        have = part.stat().st_size if part.is_file() else 0
        rest = {"Range": f"bytes={have}-"} if have else {}
        host = urlsplit(url).netloc
        pool = self.pool if host in self.answered else self.impatient
        answer = pool.request("GET", url, headers={**wanted.headers, **rest}, preload_content=False)
        self.answered.add(host)
        try:
            if answer.status == 416:
                # all of it was here already, or it is not the same file
                return True
            if answer.status not in (200, 206):
                self.progress.step(name, f"{url} answered {answer.status}")
                return False
            resumed = have if answer.status == 206 else 0
            total = resumed + int(answer.headers.get("Content-Length", 0))
            with part.open("ab" if resumed else "wb") as file:
                for chunk in answer.stream(CHUNK_BYTES):
                    resumed += len(chunk)
                    if resumed > wanted.limit_bytes:
                        part.unlink()
                        self.progress.step(name, f"{url} sends more than {wanted.limit_bytes:,} bytes")
                        return False
                    file.write(chunk)
                    if resumed == total or resumed % MEBIBYTE < len(chunk):
                        self.progress.step(name, f"fetch {resumed // MEBIBYTE} of {total // MEBIBYTE} MiB")
                os.fsync(file.fileno())
            return True
        finally:
            answer.release_conn()


def _takes_connections(host: str, port: int, seconds: float) -> bool:
    """Try all addresses of a host within one span of time; a thread, because a name server's silence has no limit."""
    told: queue.SimpleQueue[bool] = queue.SimpleQueue()

    def connect() -> None:
        try:
            socket.create_connection((host, port), seconds).close()
        except OSError:
            told.put(False)
        else:
            told.put(True)

    threading.Thread(target=connect, daemon=True).start()
    try:
        return told.get(timeout=seconds)
    except queue.Empty:
        return False


def _reason(error: BaseException) -> str:
    reason = getattr(error, "reason", None) or error
    return str(reason).rpartition(": ")[2]
