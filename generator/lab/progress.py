"""Says what long work is doing now; whoever calls decides how that is shown."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Hears of each step as it begins and goes on."""

    def step(self, name: str, detail: str) -> None:
        """Take note: `name` is the thing worked on, `detail` what happens to it now."""

    def say(self, line: str) -> None:
        """Take note of something that is worth to stay."""
