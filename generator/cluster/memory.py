"""Remembers what lists don't show yet or show still, and what was read already of objects that stay as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from generator.provider.resources import Droplet
from generator.provider.spaces import Stored

T = TypeVar("T")

READ_LAG = timedelta(minutes=2)
"""How long a droplet just made may be unknown to reads and lists."""
UNLISTED = timedelta(seconds=20)
"""So long after its order a droplet is not read, only because no list shows it yet."""
LIST_LAG = timedelta(minutes=1)
"""How long a droplet just deleted may be shown."""


@dataclass
class Memory:
    """What this launch knows better than the provider's lists.

    `made` are droplets that no list has shown yet, `shown` those that one has, `removed` the times of deletion.
    """

    made: dict[int, Droplet] = field(default_factory=dict)
    shown: dict[int, Droplet] = field(default_factory=dict)
    removed: dict[int, datetime] = field(default_factory=dict)
    _read: dict[str, tuple[Stored, Any]] = field(default_factory=dict)

    def once(self, stored: Stored, read: Callable[[], T]) -> T:
        """Read an object, unless it was read already as it is listed now; nothing of what it was before is kept."""
        if not stored.tag:
            return read()
        known = self._read.get(stored.key)
        if known is None or known[0] != stored:
            known = self._read[stored.key] = (stored, read())
        value: T = known[1]
        return value

    def forget(self, listed: Iterable[Stored]) -> None:
        """Drop what was read of objects that are gone."""
        there = {one.key for one in listed}
        self._read = {key: known for key, known in self._read.items() if key in there}

    def merge(
        self, listed: tuple[Droplet, ...], now: datetime, read: Callable[[int], Droplet | None]
    ) -> tuple[Droplet, ...]:
        """Give the droplets that are there, by what a list says, what is remembered, and a second look in doubt."""
        hidden = {number for number, at in self.removed.items() if now - at < LIST_LAG}
        present = {one.id: one for one in listed if one.id not in hidden}
        for number in present:
            self.made.pop(number, None)
        for number in (*self.made, *self.shown):
            if number in present or number in hidden:
                continue
            ordered = self.made.get(number)
            droplet = ordered if ordered and now - ordered.created < UNLISTED else read(number)
            if droplet is None and number in self.made and now - self.made[number].created < READ_LAG:
                droplet = self.made[number]
            if droplet is None:
                self.made.pop(number, None)
            else:
                present[number] = droplet
        self.shown = {number: one for number, one in present.items() if number not in self.made}
        return tuple(present[number] for number in sorted(present))
