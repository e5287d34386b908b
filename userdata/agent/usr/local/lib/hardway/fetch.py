"""Speaks HTTP(S); a message names hosts, never an address with a signature."""

from __future__ import annotations

import hashlib
import urllib.request
from collections.abc import Mapping
from email.message import Message
from http.client import HTTPException, HTTPResponse, IncompleteRead
from pathlib import Path
from ssl import SSLContext
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit

from hardway.here import Failure

PIECE_BYTES = 1 << 20
TIMEOUT_SECONDS = 20


def ask(
    url: str,
    data: bytes | None = None,
    method: str | None = None,
    headers: Mapping[str, str] | None = None,
    context: SSLContext | None = None,
) -> tuple[int, bytes, Message]:
    """Send a request; return status, body and headers, whatever the status is."""
    try:
        with _open(url, headers or {}, data, method, context) as answer:
            return answer.status, answer.read(), answer.headers
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
            while piece := answer.read(PIECE_BYTES):
                file.write(piece)
        if answer.length:
            raise IncompleteRead(b"", answer.length)


def _open(
    url: str,
    headers: Mapping[str, str],
    data: bytes | None = None,
    method: str | None = None,
    context: SSLContext | None = None,
) -> Any:
    request = urllib.request.Request(url, data, dict(headers), method=method)  # noqa: S310 - ours are https
    try:
        answer: HTTPResponse | HTTPError = urllib.request.urlopen(  # noqa: S310
            request, timeout=TIMEOUT_SECONDS, context=context
        )
    except HTTPError as refusal:
        answer = refusal
    return answer


def _failure(url: str, error: Exception) -> Failure:
    return Failure(f"{urlsplit(url).netloc}: {getattr(error, 'reason', None) or repr(error)}")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
