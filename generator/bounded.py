"""Reads what others send within bounds: so many bytes, so many seconds, and JSON no deeper than sense makes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

PIECE_BYTES = 64 * 1024


class TooMuch(ValueError):  # noqa: N818 - what it is
    """A body is longer, or comes slower, than anything that is meant."""


def read(
    piece: Callable[[int], bytes],
    *,
    limit_bytes: int,
    seconds: float = 60.0,
    monotonic: Callable[[], float] = time.monotonic,
) -> bytes:
    """Read a body piece by piece.

    Args:
        piece: gives at most so many bytes, those that are there; none at the end.
        seconds: for all of it; a single piece has the limit of whoever gives it.

    Raises:
        TooMuch: it is longer than the limit, or is not over in time.
    """
    end = monotonic() + seconds
    body = bytearray()
    while data := piece(min(PIECE_BYTES, limit_bytes + 1 - len(body))):
        body += data
        if len(body) > limit_bytes:
            raise TooMuch(f"more than {limit_bytes:,} bytes")
        if monotonic() > end:
            raise TooMuch(f"not over after {seconds:.0f} s")
    return bytes(body)


def parse_json(data: bytes | str) -> Any:
    """Read JSON.

    Raises:
        ValueError: it is none, or nested without end.
    """
    try:
        return json.loads(data)
    except RecursionError as error:
        raise ValueError("nested without end") from error
