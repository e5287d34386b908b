"""The process that `gen` runs in: fresh, so that its memory is its own, and on another's clock."""

from __future__ import annotations

import contextlib
import io
import re
import time
from datetime import UTC, datetime
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import TYPE_CHECKING, Any

from generator import clock
from generator.cli import main as cli

if TYPE_CHECKING:
    from generator.provider.connection import Connection


def run(words: tuple[str, ...], pipe: Pipe, connection: Connection | None, time_: Any) -> None:
    """Run one command; ask for each pause, and send at last its code, seconds, peak in MiB, output and words."""
    if connection is not None:
        real = clock.Clock

        def sleep(seconds: float) -> None:
            pipe.send(float(seconds))
            pipe.recv()

        clock.Clock = lambda: real(lambda: datetime.fromtimestamp(time_.value, UTC), sleep)  # type: ignore[misc,assignment]
        cli._lab_connection = lambda _: connection
    out, err = io.StringIO(), io.StringIO()
    started = time.monotonic()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.run(list(words))
    seconds = time.monotonic() - started
    pipe.send((code, seconds, _peak_mib(), out.getvalue(), err.getvalue()))


def _peak_mib() -> float:
    """Give the most memory that this program had; what the kernel counts elsewhere begins with its parent's."""
    found = re.search(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) / 1024
