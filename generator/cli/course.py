"""Shows where a rollout is: its steps, what became of each, and how long the rest will take."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import mean
from typing import TYPE_CHECKING

from generator.cli.table import text_table

if TYPE_CHECKING:
    from generator.cluster.engine import Event
    from generator.cluster.rollout import Batch

HEAD = ("STEP", "WHAT", "STATE", "TIME")
GUESS_SECONDS = {"replace": 60.0, "remove": 25.0}
"""Of a step of a kind before one is through: a node's boot, and what comes before and after it, on two cores."""


@dataclass
class Course:
    """The steps of a rollout, in their order; `now` is the number of the one it is at, from 1."""

    batches: Sequence[Batch]
    monotonic: Callable[[], float] = time.monotonic
    now: int = 0
    _row: str = ""
    _began: float = 0.0
    _took: list[float] = field(default_factory=list)

    def begin(self) -> None:
        """Say that the next step begins; the one before is through."""
        self.end()
        self.now += 1
        self._began = self.monotonic()
        self._row = "begun"

    def end(self) -> None:
        """Say that the present step is through."""
        if len(self._took) < self.now:
            self._took.append(self.monotonic() - self._began)

    def hear(self, event: Event) -> None:
        """Hear what the present step is at."""
        self._row = "failed" if event.state == "failed" else event.step.row.name

    @property
    def left_seconds(self) -> float:
        """Guess how long the rest takes, by what steps of its kind took so far."""
        passed = 0.0 if self.is_between else self.monotonic() - self._began
        open_ = self.batches[len(self._took) :]
        return max(0.0, sum(self._guess(batch.verb) for batch in open_) - passed)

    @property
    def is_between(self) -> bool:
        """Tell whether no step is under way."""
        return len(self._took) == self.now

    def table(self) -> str:
        """Show all steps."""
        return text_table(HEAD, (self._cells(number) for number in range(1, len(self.batches) + 1)))

    def _cells(self, number: int) -> tuple[str, str, str, str]:
        batch = self.batches[number - 1]
        what = f"{batch.verb} {', '.join(batch.nodes)}"
        step = f"{number}/{len(self.batches)}"
        if number <= len(self._took):
            return step, what, "done", f"{self._took[number - 1]:.0f} s"
        if number == self.now:
            return step, what, self._row, f"{self.monotonic() - self._began:.0f} s"
        return step, what, "to come", f"about {self._guess(batch.verb):.0f} s"

    def _guess(self, verb: str) -> float:
        known = [took for took, batch in zip(self._took, self.batches, strict=False) if batch.verb == verb]
        return mean(known) if known else GUESS_SECONDS[verb]
