"""Says much that is alike in few lines, for a person; whoever wants all of it has `--json`; pure."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeVar

T = TypeVar("T")

LINES = 12
"""So many lines of one sort are shown one by one."""


def named(names: Sequence[str], most: int = 1) -> str:
    """Name the first of many.

    >>> named(["node01"]), named(["node01", "node02", "node03"])
    ('node01', 'node01 and 2 more')
    """
    left = len(names) - most
    return ", ".join(names[:most]) + (f" and {left} more" if left > 0 else "")


def few(lines: Iterable[str], most: int = LINES) -> list[str]:
    """Give some lines, and how many more there are.

    >>> few(["a", "b", "c"], 2)
    ['a', '… and 2 more like it, `--json` has all']
    >>> few(["a", "b"], 2)
    ['a', 'b']
    """
    found = list(lines)
    if len(found) <= most:
        return found
    return [*found[: most - 1], f"… and {len(found) - most + 1} more like it, `--json` has all"]


def alike(items: Iterable[T], key: Callable[[T], Hashable]) -> list[list[T]]:
    """Put together what has the same key, in the order of the first of each."""
    found: dict[Hashable, list[T]] = {}
    for one in items:
        found.setdefault(key(one), []).append(one)
    return list(found.values())
