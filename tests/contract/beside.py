"""Lets something go on beside a test: what machines, or the provider, would do meanwhile."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from typing import Self


class Beside(ABC):
    """Takes a turn again and again as long as its block lasts."""

    pause = 0.05

    def __init__(self) -> None:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._live, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _live(self) -> None:
        while not self._over.wait(self.pause):
            self.turn()

    @abstractmethod
    def turn(self) -> None:
        """Do what is due."""
