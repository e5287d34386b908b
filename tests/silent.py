"""Hears of the lab's long work, and shows nothing."""

from __future__ import annotations


class Silent:
    """A `Progress` for tests."""

    def step(self, name: str, detail: str) -> None:
        """Ignore the step."""

    def say(self, line: str) -> None:
        """Ignore the line."""
