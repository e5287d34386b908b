"""Speaks HTTP(S); a message names hosts, never an address with a signature."""

from __future__ import annotations

import hashlib
import time
import urllib.request
from collections.abc import Iterator, Mapping
from email.message import Message
from http.client import HTTPException, HTTPResponse, IncompleteRead
from pathlib import Path
from ssl import SSLContext
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit

from hardway.here import Failure

PIECE_BYTES = 1 << 20
TIMEOUT_SECONDS = 20.0
OK = 200
# Of a whole answer, and of a whole file: a store that belongs to somebody else by now must not fill this node.
LIMIT_BYTES, LIMIT_SECONDS = 16 << 20, 60.0
LINE_BYTES = 4 << 20
FILE_BYTES, FILE_SECONDS = 2 << 30, 1800.0


def ask(
    url: str,
    data: bytes | None = None,
    method: str | None = None,
    headers: Mapping[str, str] | None = None,
    context: SSLContext | None = None,
    *,
    seconds: float = TIMEOUT_SECONDS,
) -> tuple[int, bytes, Message]:
    """Send a request; return status, body and headers, whatever the status is.

    Args:
        seconds: how long the other side may be silent.
    """
    try:
        with _open(url, headers or {}, data, method, context, seconds) as answer:
            body = b"".join(_pieces(answer, url, LIMIT_BYTES, LIMIT_SECONDS))
            if answer.length:
                raise IncompleteRead(b"", answer.length)
            return answer.status, body, answer.headers
    except (OSError, HTTPException) as error:
        raise _failure(url, error) from None


def lines(url: str, context: SSLContext, seconds: float) -> Iterator[bytes]:
    """Give the lines of an answer as they come, each within bounds, and no longer than so many seconds."""
    end = time.monotonic() + seconds
    try:
        with _open(url, {}, context=context, seconds=seconds) as answer:
            if answer.status != OK:
                raise Failure(f"{urlsplit(url).netloc} answered {answer.status}")
            while line := answer.readline(LINE_BYTES):
                if not line.endswith(b"\n"):
                    raise Failure(f"{urlsplit(url).netloc} sends a line of more than {LINE_BYTES:,} bytes")
                yield line
                if time.monotonic() > end:
                    return
    except (OSError, HTTPException) as error:
        raise _failure(url, error) from None


def download(url: str, part: Path, sha256: str) -> bool:
    """Fetch into a file, going on where it ends; tell whether its digest is right, else delete it."""
    have = part.stat().st_size if part.exists() else 0
    if not have or _digest(part) != sha256:
        try:
            _continue(url, part, have)
        except (OSError, HTTPException) as error:
            raise _failure(url, error) from None
    if _digest(part) == sha256:
        return True
    part.unlink()
    return False


def _continue(url: str, part: Path, have: int) -> None:
    with _open(url, {"Range": f"bytes={have}-"} if have else {}) as answer:
        if answer.status == 416:
            # What is here is longer than what is there.
            part.unlink()
        if answer.status not in (200, 206):
            raise Failure(f"{urlsplit(url).netloc} answered {answer.status}")
        with part.open("ab" if answer.status == 206 else "wb") as file:
            for piece in _pieces(answer, url, FILE_BYTES, FILE_SECONDS):
                file.write(piece)
        if answer.length:
            raise IncompleteRead(b"", answer.length)


def _pieces(answer: Any, url: str, limit_bytes: int, seconds: float) -> Iterator[bytes]:
    """Give a body as it comes, but no more of it and no longer than is meant."""
    end, count = time.monotonic() + seconds, 0
    while piece := answer.read1(PIECE_BYTES):
        count += len(piece)
        if count > limit_bytes:
            raise Failure(f"{urlsplit(url).netloc} sends more than {limit_bytes:,} bytes")
        if time.monotonic() > end:
            raise Failure(f"{urlsplit(url).netloc} is not done after {seconds:.0f} s")
        yield piece


def _open(
    url: str,
    headers: Mapping[str, str],
    data: bytes | None = None,
    method: str | None = None,
    context: SSLContext | None = None,
    seconds: float = TIMEOUT_SECONDS,
) -> Any:
    request = urllib.request.Request(url, data, dict(headers), method=method)  # noqa: S310 - ours are https
    try:
        answer: HTTPResponse | HTTPError = urllib.request.urlopen(  # noqa: S310
            request, timeout=seconds, context=context
        )
    except HTTPError as refusal:
        answer = refusal
    return answer


def _failure(url: str, error: Exception) -> Failure:
    return Failure(f"{urlsplit(url).netloc}: {getattr(error, 'reason', None) or repr(error)}")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
