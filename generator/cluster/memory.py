"""Remembers of droplets what the provider's lists don't show yet, or show still."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from generator.provider.resources import Droplet

READ_LAG = timedelta(minutes=2)
"""How long a droplet just made may be unknown to reads and lists."""
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
            droplet = read(number)
            if droplet is None and number in self.made and now - self.made[number].created < READ_LAG:
                droplet = self.made[number]
            if droplet is None:
                self.made.pop(number, None)
            else:
                present[number] = droplet
        self.shown = {number: one for number, one in present.items() if number not in self.made}
        return tuple(present[number] for number in sorted(present))
