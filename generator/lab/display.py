"""Shows on stderr what long work is doing and since when: one live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.status import Status
from rich.text import Text


class Display:
    """Hears of steps; a step that lasted is left standing with its time when the next one begins."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._live = sys.stderr.isatty()
        self._status: Status | None = None
        self._name = ""
        self._last = ("", "")
        self._since = time.monotonic()

    def __enter__(self) -> Display:
        """Begin to show."""
        if self._live:
            self._status = self._console.status("")
            self._status.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, _error: object, _traceback: TracebackType | None) -> None:
        """Say how the last step ended, and stop."""
        self._finish(ended=kind is None)
        if self._status is not None:
            self._status.stop()

    def step(self, name: str, detail: str) -> None:
        """Take note of what happens now."""
        if (name, detail) == self._last:
            return
        self._last = (name, detail)
        if name != self._name:
            self._finish(ended=True)
            self._name, self._since = name, time.monotonic()
        if self._status is not None:
            self._status.update(Text(f"{name}: {detail} ({self._seconds()})", overflow="ellipsis", no_wrap=True))
        else:
            self.say(f"{name}: {detail}")

    def say(self, line: str) -> None:
        """Print one line that stays."""
        self._console.print(Text(line))

    def _finish(self, *, ended: bool) -> None:
        if self._name and self._live and ended:
            self.say(f"  {self._name} ({self._seconds()})")
        self._name = ""

    def _seconds(self) -> str:
        return f"{time.monotonic() - self._since:.0f} s"
