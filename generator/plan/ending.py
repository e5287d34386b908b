"""Tells which certificates end soon, by the committed inventory alone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from generator.clock import moment, stamp
from generator.plan.certificates import METRICS_SERVER, ORDER_BOOK
from generator.plan.inventory import ORDER_BOOK_GIVEN, Inventory

SPEAKS = timedelta(days=30)
"""So long before a certificate ends every verb that looks at it says so."""
SERVES = timedelta(hours=2)
"""What ends sooner than this may end before a launch is through."""
_NODE = re.compile(r"nodes/([^/]+)/")


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
        """Say what becomes of the first: how it is made anew, and who has to have the new one."""
        if self.paths[0].endswith("-ca"):
            return "an authority stays as it is for the life of its cluster: make another cluster in time"
        if self.paths[0] == ORDER_BOOK_GIVEN:
            return "put its successor into the file of `order_book.certificate`, then `gen render` and `gen launch`"
        if self.paths[0] in (METRICS_SERVER, ORDER_BOOK):
            return f"`gen rotate {self.paths[0]}` makes a new one, and `gen launch` brings it; no node is replaced"
        anew = (
            f"move its `.crt` and `.key` in `keys/{cluster}/` away, delete its row in"
            f" `rendered/{cluster}/inventory.yaml`, and `gen render` makes a new one"
        )
        node = _NODE.match(self.paths[0])
        return f"{anew}; then recreate {node[1]}, and do the others with it" if node else f"{anew}, for you alone"


def ending(inventory: Inventory | None, now: datetime, within: timedelta = SPEAKS) -> Ending | None:
    """Find what ends within some time; None where nothing does."""
    rows = [(moment(fact.expires), fact.path) for fact in inventory.keys if fact.expires] if inventory else []
    soon = sorted(row for row in rows if row[0] < now + within)
    return Ending(tuple(path for _, path in soon), soon[0][0], now) if soon else None
