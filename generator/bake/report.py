"""Reads what a droplet that is made to be copied says of itself: text from a store, believed for progress alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast, get_args

from generator import bounded
from generator.plain_text import clean

Step = Literal["booting", "fetching", "pulling", "tidying", "done", "failed"]
LIMIT_BYTES = 16 * 1024
WHY_LENGTH = 600


@dataclass(frozen=True)
class Report:
    """How far it is: `done` of `of` in this step, or why it went no further."""

    step: Step = "booting"
    done: int = 0
    of: int = 0
    why: str = ""

    def __str__(self) -> str:
        """Show it as a few words."""
        return f"{self.step} {self.done} of {self.of}" if self.of else self.step


def read(body: bytes | None, name: str) -> Report:
    """Read a report of the droplet of that name; what is none, or another's, says nothing.

    >>> read(b'{"version": 1, "name": "a", "step": "pulling", "done": 2, "of": 8}', "a")
    Report(step='pulling', done=2, of=8, why='')
    """
    try:
        told = bounded.parse_json(body or b"{}")
    except ValueError:
        return Report()
    if not isinstance(told, dict) or told.get("name") != name or told.get("step") not in get_args(Step):
        return Report()
    done, of = (told.get(key) if isinstance(told.get(key), int) else 0 for key in ("done", "of"))
    why = told.get("why")
    step = cast("Step", told["step"])
    return Report(step, cast("int", done), cast("int", of), clean(why)[:WHY_LENGTH] if isinstance(why, str) else "")
