"""Tells which certificates end soon, by the committed inventory alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from generator.clock import moment, stamp
from generator.plan.inventory import Inventory

SPEAKS_DAYS = 30
"""So many days before a certificate ends every verb that looks at it says so."""


@dataclass(frozen=True)
class Ending:
    """What ends before a time: the certificates' paths, the first to end first, and when that is."""

    paths: tuple[str, ...]
    first: datetime
    now: datetime

    @property
    def over(self) -> bool:
        """Tell whether the first has ended already."""
        return self.first <= self.now

    def __str__(self) -> str:
        """Say it in one sentence."""
        days = abs(self.first - self.now).days
        when = f"ended {days} days ago" if self.over else f"ends in {days} days"
        more = f"; {len(self.paths) - 1} more end soon" if len(self.paths) > 1 else ""
        return f"the certificate `{self.paths[0]}` {when}, at {stamp(self.first)}{more}"

    def hint(self, cluster: str) -> str:
        """Say how a certificate is made anew."""
        return (
            f"move its `.crt` and `.key` in `keys/{cluster}/` away, delete its row in"
            f" `rendered/{cluster}/inventory.yaml`, and `gen render` makes a new one; its node is then to be recreated"
        )


def ending(inventory: Inventory | None, now: datetime, days: int = SPEAKS_DAYS) -> Ending | None:
    """Find what ends within so many days; None where nothing does."""
    rows = [(moment(fact.expires), fact.path) for fact in inventory.keys if fact.expires] if inventory else []
    soon = sorted(row for row in rows if row[0] < now + timedelta(days=days))
    return Ending(tuple(path for _, path in soon), soon[0][0], now) if soon else None
