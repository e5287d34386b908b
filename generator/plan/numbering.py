"""Gives every node the number that it has for life."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count


def assign(names: tuple[str, ...], known: Mapping[str, int]) -> dict[str, int]:
    """Give every node its number: the one it has, else the lowest that nobody ever had.

    >>> assign(("node01", "node02"), {"node01": 1, "gone01": 2})
    {'node01': 1, 'gone01': 2, 'node02': 3}
    """
    numbers = dict(known)
    taken = set(known.values())
    free = (number for number in count(1) if number not in taken)
    for name in names:
        if name not in numbers:
            numbers[name] = next(free)
    return numbers
