"""Knows what a cluster costs in a month, as far as the provider's price list is known here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from generator.catalogue import SIZES, SPACES_MONTHLY, VOLUME_GIB_CENTS
from generator.plan.decide import Plan


@dataclass(frozen=True)
class Line:
    """One kind of object; `each` is None where the price is not known."""

    what: str
    count: int
    each: int | None

    @property
    def total(self) -> int | None:
        """Give the price of all of them."""
        return None if self.each is None else self.count * self.each


def lines(plan: Plan) -> tuple[Line, ...]:
    """List what costs money: droplets and volumes by size, and Spaces, one price for all buckets of an account."""
    sizes = Counter(node.size for node in plan.nodes)
    disks = Counter(volume.size for node in plan.nodes for volume in node.volumes)
    droplets = [Line(f"droplet `{size}`", number, _price(size)) for size, number in sorted(sizes.items())]
    volumes = [Line(f"volume of {gib} GiB", number, volume_price(gib)) for gib, number in sorted(disks.items())]
    return (*droplets, *volumes, Line("Spaces, once for the account", 1, SPACES_MONTHLY))


def volume_price(gib: int) -> int:
    """Give a volume's price in a month, in whole dollars, rounded up."""
    return -(-gib * VOLUME_GIB_CENTS // 100)


def monthly(plan: Plan) -> tuple[int, bool]:
    """Sum up a month in US dollars, and tell whether every price was known."""
    totals = [line.total for line in lines(plan)]
    return sum(total for total in totals if total is not None), None not in totals


def of(sizes: Iterable[str], volumes: Iterable[int]) -> int:
    """Sum up a month of droplets of these sizes, as far as their prices are known, of volumes by GiB, and of Spaces."""
    return sum(_price(size) or 0 for size in sizes) + sum(map(volume_price, volumes)) + SPACES_MONTHLY


def _price(size: str) -> int | None:
    return SIZES[size].monthly if size in SIZES else None
