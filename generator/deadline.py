"""Ends an exchange over TLS when its time is over, however slowly the other side says something."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

_END: ContextVar[float | None] = ContextVar("end", default=None)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Give everything that is read from sockets of `context` so many seconds in all; an earlier end stays.

    A socket's own limit starts anew with every byte: whoever sends one in a while is listened to for ever.
    """
    end = time.monotonic() + seconds
    earlier = _END.get()
    token = _END.set(end if earlier is None else min(end, earlier))
    try:
        yield
    finally:
        _END.reset(token)


def context(authority: Path | None = None) -> ssl.SSLContext:
    """Make a context for verified connections whose sockets know when they have to be done.

    Args:
        authority: whom to believe; without one whomever this machine or the `certifi` package lists.
    """
    if authority is not None:
        made = ssl.create_default_context(cafile=str(authority))
    else:
        import certifi

        made = ssl.create_default_context()
        made.load_verify_locations(certifi.where())
    made.sslsocket_class = _Socket
    return made


class _Socket(ssl.SSLSocket):
    """A socket that gives each read what is left of the whole; a handshake has one limit of its own already."""

    def read(self, len: int = 1024, buffer: Any = None) -> Any:
        """Read, or raise `TimeoutError`."""
        end = _END.get()
        if end is None:
            return super().read(len, buffer)
        left = end - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer is not over in time")
        before = self.gettimeout()
        self.settimeout(left if before is None else min(left, before))
        try:
            return super().read(len, buffer)
        finally:
            self.settimeout(before)
