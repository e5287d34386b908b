"""Tells the time and waits, so that whoever calls decides which clock that is."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Clock:
    """The time in UTC, and how to let some of it pass."""

    now: Callable[[], datetime] = _now
    sleep: Callable[[float], None] = time.sleep


def stamp(moment: datetime) -> str:
    """Write a moment as every format of this program does: ISO 8601, UTC, whole seconds.

    >>> stamp(datetime(2026, 11, 22, 8, 30, 0, 500, tzinfo=UTC))
    '2026-11-22T08:30:00Z'
    """
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(text: str) -> datetime:
    """Read a moment of the provider or of a node; without a zone it is UTC.

    Raises:
        ValueError: it is none.
    """
    read = datetime.fromisoformat(text)
    return read if read.tzinfo else read.replace(tzinfo=UTC)
