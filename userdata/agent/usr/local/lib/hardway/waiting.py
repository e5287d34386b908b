"""Waits, bounded, for what may still come."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from hardway.here import Failure, Terminal

T = TypeVar("T")


def patiently(action: Callable[[], T], seconds: float, *, pause: float = 1, say: str | None = None) -> T:
    """Try again while an action fails; at the end its failure is the step's.

    Args:
        say: what stands before each failure that is not the last where it is printed; None prints none.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            return action()
        except Terminal:
            raise
        except Failure as error:
            if time.monotonic() >= end:
                raise
            if say is not None:
                print(f"{say}{error}", flush=True)
            time.sleep(pause)


def until(complaint: str, test: Callable[[], bool], seconds: float) -> None:
    """Await what a test tells, and say at the end why it has not come."""

    def tried() -> None:
        try:
            is_so = test()
        except Failure as error:
            raise Failure(f"{complaint}: {error}") from None
        if not is_so:
            raise Failure(complaint)

    patiently(tried, seconds)
