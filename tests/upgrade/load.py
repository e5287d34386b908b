"""Asks ten times a second, from within pods and from outside, and tells afterwards what became of each attempt."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SLOT_SECONDS = 0.5
# Each attempt has a port of its own.
_CALLER = re.compile(r"[\d.]+:\d+->")


@dataclass(frozen=True)
class Attempt:
    """One attempt: when it began, and what was wrong with it."""

    at: float
    error: str


@dataclass(frozen=True)
class Account:
    """What became of all attempts of a kind; `gap` is the longest time without a good one, in seconds."""

    count: int
    failed: int
    gap: float
    why: tuple[str, ...]

    def __str__(self) -> str:
        """Show it as one line."""
        reasons = f" ({'; '.join(self.why)})" if self.why else ""
        return f"{self.failed} of {self.count} failed{reasons}, longest gap {self.gap:.1f} s"


def account(attempts: Sequence[Attempt]) -> Account:
    """Sum up attempts of one kind."""
    good = sorted(attempt.at for attempt in attempts if not attempt.error)
    gap = max((later - earlier for earlier, later in itertools.pairwise(good)), default=float("inf"))
    reasons = Counter(_CALLER.sub("", attempt.error) for attempt in attempts if attempt.error)
    return Account(len(attempts), reasons.total(), gap, tuple(f"{n} × {why}" for why, n in reasons.most_common(4)))


def nowhere(kinds: Sequence[Sequence[Attempt]]) -> int:
    """Count the half seconds in which attempts of every kind began and none was good: no other way had helped."""
    slots: dict[int, set[bool]] = {}
    for attempts in kinds:
        for attempt in attempts:
            slots.setdefault(int(attempt.at / SLOT_SECONDS), set()).add(not attempt.error)
    return sum(found == {False} for found in slots.values())


class Load:
    """Runs `probe load` somewhere; `tries` are its tries by a name for each."""

    def __init__(self, words: Sequence[str], tries: Mapping[str, Mapping[str, object]], log: Path) -> None:
        self._names = list(tries)
        self._log = log
        with log.open("w") as out:
            self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=out, text=True)
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(list(tries.values())))
        self._process.stdin.flush()

    def stop(self) -> dict[str, list[Attempt]]:
        """End, and give all attempts by name; what was under way then is of no account."""
        self._process.terminate()
        self._process.wait(timeout=60)
        found: dict[str, list[Attempt]] = {name: [] for name in self._names}
        for line in self._log.read_text().split("\n")[:-1]:
            attempt = json.loads(line)
            found[self._names[attempt["try"]]].append(Attempt(attempt["at"], attempt["error"]))
        return found
