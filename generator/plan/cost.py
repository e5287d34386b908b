"""Knows what a cluster costs in a month, as far as the provider's price list is known here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from generator.plan.decide import Plan

# US dollars a month. Source: the provider's price list as of 2026, https://www.digitalocean.com/pricing/droplets
SIZES: Mapping[str, int] = {
    "s-1vcpu-1gb": 6,
    "s-1vcpu-2gb": 12,
    "s-2vcpu-2gb": 18,
    "s-2vcpu-4gb": 24,
    "s-4vcpu-8gb": 48,
    "s-8vcpu-16gb": 96,
    "c-2": 42,
    "g-2vcpu-8gb": 63,
    "m-2vcpu-16gb": 84,
}
SPACES = 5


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
    """List what costs money: droplets by size, and Spaces, which is one price for all buckets of an account."""
    sizes = Counter(node.size for node in plan.nodes)
    droplets = [Line(f"droplet `{size}`", number, SIZES.get(size)) for size, number in sorted(sizes.items())]
    return (*droplets, Line("Spaces, once for the account", 1, SPACES))


def monthly(plan: Plan) -> tuple[int, bool]:
    """Sum up a month in US dollars, and tell whether every price was known."""
    totals = [line.total for line in lines(plan)]
    return sum(total for total in totals if total is not None), None not in totals
