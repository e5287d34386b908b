"""Speaks HTTP(S), within bounds of bytes and seconds; a message names hosts, never an address with a signature."""

from __future__ import annotations

import hashlib
import socket
import threading
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from email.message import Message
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection, IncompleteRead
from pathlib import Path
from ssl import SSLContext
from typing import IO, Any
from urllib.error import HTTPError
from urllib.parse import urlsplit

from hardway.here import Failure

PIECE_BYTES = 1 << 20
SILENCE_SECONDS = 20.0
OK = 200
# Of a whole answer, and of a whole file: a store that belongs to somebody else by now must not fill this node.
LIMIT_BYTES, LIMIT_SECONDS = 16 << 20, 60.0
LINE_BYTES = 4 << 20
FILE_BYTES, FILE_SECONDS = 2 << 30, 1800.0


def ask(
    url: str,
    data: bytes | IO[bytes] | None = None,
    method: str | None = None,
    headers: Mapping[str, str] | None = None,
    context: SSLContext | None = None,
    *,
    seconds: float | None = None,
    limit_bytes: int | None = None,
) -> tuple[int, bytes, Message]:
    """Send a request; return status, body and headers, whatever the status is.

    Args:
        data: what is sent; of a file the headers tell how long it is.
        seconds: how long all of it may take, from the first word to the last; a minute unless given.
        limit_bytes: how long the body may be; 16 MiB unless given.
    """
    request = urllib.request.Request(url, data, dict(headers or {}), method=method)  # noqa: S310 - ours are https
    with _answered(request, context, seconds or LIMIT_SECONDS) as answer:
        body = b"".join(_pieces(answer, url, LIMIT_BYTES if limit_bytes is None else limit_bytes))
        return answer.status, body, answer.headers


def lines(url: str, context: SSLContext, seconds: float) -> Iterator[bytes]:
    """Give the lines of an answer as they come, each within bounds, and fail after so many seconds."""
    with _answered(urllib.request.Request(url), context, seconds, silence=seconds) as answer:  # noqa: S310
        if answer.status != OK:
            raise Failure(f"{urlsplit(url).netloc} answered {answer.status}")
        while line := answer.readline(LINE_BYTES):
            if not line.endswith(b"\n"):
                raise Failure(f"{urlsplit(url).netloc} sends a line that is too long, or breaks off in one")
            yield line


def download(url: str, part: Path, sha256: str, size: int | None = None) -> bool:
    """Fetch into a file, going on where it ends; tell whether its digest is right, else delete it.

    What is there may be anything: an image of droplets has whole files, and whoever made it may be anybody.
    Where going on leads nowhere, it is fetched from the beginning.

    Args:
        size: how many bytes it has, where that is known; no more than these are written.
    """
    if is_whole(part, sha256):
        return True
    limit = FILE_BYTES if size is None else size
    have = part.stat().st_size if part.exists() else 0
    for begin in dict.fromkeys((have if have < limit else 0, 0)):
        if not begin:
            part.unlink(missing_ok=True)
        if _continue(url, part, begin, limit) and is_whole(part, sha256):
            return True
    part.unlink(missing_ok=True)
    return False


def is_whole(part: Path, sha256: str) -> bool:
    """Tell whether a file is there and is what is pinned."""
    return part.exists() and _digest(part) == sha256


def _continue(url: str, part: Path, have: int, limit_bytes: int) -> bool:
    """Fetch the rest; False where there is none, since what is here is longer than what is there."""
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})  # noqa: S310
    with _answered(request, None, FILE_SECONDS) as answer:
        if answer.status == 416 and have:
            return False
        if answer.status not in (200, 206):
            raise Failure(f"{urlsplit(url).netloc} answered {answer.status}")
        goes_on = answer.status == 206
        with part.open("ab" if goes_on else "wb") as file:
            for piece in _pieces(answer, url, limit_bytes - (have if goes_on else 0)):
                file.write(piece)
    return True


def _pieces(answer: Any, url: str, limit_bytes: int) -> Iterator[bytes]:
    """Give a body as it comes, whole, but no more of it than is meant."""
    count = 0
    while piece := answer.read1(PIECE_BYTES):
        count += len(piece)
        if count > limit_bytes:
            raise Failure(f"{urlsplit(url).netloc} sends more than {limit_bytes:,} bytes")
        yield piece
    if answer.length:
        raise IncompleteRead(b"", answer.length)


@contextmanager
def _answered(
    request: urllib.request.Request, context: SSLContext | None, seconds: float, silence: float = SILENCE_SECONDS
) -> Iterator[Any]:
    """Send a request and give its answer to be read; whoever drips, at whatever stage, is cut off at the end."""
    host, guard = urlsplit(request.full_url).netloc, _Guard(seconds)
    opener = urllib.request.build_opener(_Http(guard), _Https(guard, context))
    try:
        with guard, _opened(opener, request, min(silence, seconds)) as answer:
            yield answer
    except (OSError, HTTPException, ValueError) as error:
        if not guard.is_over:
            raise Failure(f"{host}: {getattr(error, 'reason', None) or repr(error)}") from None
    # What was cut off may look like an end.
    if guard.is_over:
        raise Failure(f"{host} is not done after {seconds:.0f} s")


def _opened(opener: urllib.request.OpenerDirector, request: urllib.request.Request, silence: float) -> Any:
    try:
        return opener.open(request, timeout=silence)
    except HTTPError as refusal:
        return refusal


class _Guard:
    """Cuts all connections of a request when its time is over, for a timeout only bounds each silence."""

    def __init__(self, seconds: float) -> None:
        self.is_over = False
        self._sockets: list[socket.socket] = []
        self._answers: list[HTTPResponse] = []
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        for made in self._sockets:
            made.close()
        for answer in self._answers:
            answer.close()

    def connect(self, *arguments: Any) -> socket.socket:
        """Connect, and remember the connection, which TLS will wrap."""
        made = socket.create_connection(*arguments)
        self._sockets.append(made.dup())
        if self.is_over:
            self._cut()
        return made

    def connection(self, base: type[HTTPConnection]) -> Any:
        """Give what makes connections of that kind under this guard."""

        def make(*arguments: Any, **named: Any) -> HTTPConnection:
            made = base(*arguments, **named)
            vars(made).update(_create_connection=self.connect, response_class=self.answer)
            return made

        return make

    def answer(self, *arguments: Any, **named: Any) -> HTTPResponse:
        """Begin an answer, and remember it: urllib leaves those open that redirect to what is no address."""
        self._answers.append(HTTPResponse(*arguments, **named))
        return self._answers[-1]

    def _cut(self) -> None:
        self.is_over = True
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


class _Http(urllib.request.HTTPHandler):
    def __init__(self, guard: _Guard) -> None:
        super().__init__()
        self.guard = guard

    def http_open(self, req: urllib.request.Request) -> Any:
        return self.do_open(self.guard.connection(HTTPConnection), req)


class _Https(urllib.request.HTTPSHandler):
    def __init__(self, guard: _Guard, context: SSLContext | None) -> None:
        super().__init__(context=context)
        self.guard, self.context = guard, context

    def https_open(self, req: urllib.request.Request) -> Any:
        return self.do_open(self.guard.connection(HTTPSConnection), req, context=self.context)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
