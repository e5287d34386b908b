"""Waits for what is not there yet, and tries again what failed; pauses pass by whoever's clock it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from tenacity import Retrying, retry_if_exception, retry_if_result, stop_after_attempt, wait_chain, wait_fixed

T = TypeVar("T")
Sleep = Callable[[float], None]


def until(look: Callable[[], T | None], pauses: Sequence[float], sleep: Sleep) -> T | None:
    """Look for something until it is there, once more than there are pauses; None when it never was.

    >>> until(iter([None, None, "here"]).__next__, (1, 2, 3), lambda seconds: print(seconds))
    1.0
    2.0
    'here'
    """
    return Retrying(
        sleep=sleep,
        wait=wait_chain(*map(wait_fixed, pauses)),
        stop=stop_after_attempt(len(pauses) + 1),
        retry=retry_if_result(lambda found: found is None),
        retry_error_callback=lambda _: None,
    )(look)


def repeat(
    action: Callable[[], T], pauses: Sequence[float], sleep: Sleep, *, while_: Callable[[BaseException], bool]
) -> T:
    """Do something again while it fails in a way that may pass, once more than there are pauses.

    Raises:
        Exception: what the last try raised, or the first that does not pass.
    """
    return Retrying(
        sleep=sleep,
        wait=wait_chain(*map(wait_fixed, pauses)),
        stop=stop_after_attempt(len(pauses) + 1),
        retry=retry_if_exception(while_),
        reraise=True,
    )(action)
