"""Waits for what others still have to do."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TypeVar

from hardway import timeline
from hardway.here import Failure

T = TypeVar("T")


def patiently(
    action: Callable[[], T],
    seconds: float,
    pause: float,
    *,
    on: type[Failure] = Failure,
    say: Callable[[str], None] = lambda _: None,
) -> T:
    """Try until it works or the time is over; return what came of it, or raise the last failure.

    What the first failure said is remembered as what this step has waited for.

    Args:
        on: the failure to be patient with; any other is raised at once.
        say: what hears of each failure but the last.
    """
    end, began, cause = time.monotonic() + seconds, timeline.now(), ""
    try:
        while True:
            try:
                return action()
            except on as failure:
                cause = cause or str(failure)
                if time.monotonic() >= end:
                    raise
                say(str(failure))
            time.sleep(pause)
    finally:
        if cause:
            timeline.note(sys.argv[-1], cause, began)
