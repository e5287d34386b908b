"""Reads and writes the committed table of what each theft reaches, and says how another differs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml

FILE = Path(__file__).with_name("reached.yaml")
_HEAD = "# What each theft reaches, by where; written by `scripts/attack --update`, explained in docs/security.md.\n"

Table = Mapping[str, Mapping[str, list[str]]]


def read() -> Table:
    """Read the committed table."""
    table: Table = yaml.safe_load(FILE.read_text())
    return table


def dump(table: Table) -> str:
    """Write a table."""
    plain = {what: {column: list(found) for column, found in row.items()} for what, row in table.items()}
    return _HEAD + yaml.safe_dump(plain, sort_keys=False, width=140)


def differences(expected: Table, reached: Table) -> list[str]:
    """Say, a line each, what is reached and was not expected, and what was expected and is not reached any more.

    >>> differences({"a": {"keys": ["x"]}}, {"a": {"keys": ["x", "y"]}, "b": {}})
    ['a: keys: grew by y']
    """
    lines = []
    for what in {**expected, **reached}:
        before, now = expected.get(what, {}), reached.get(what, {})
        for column in {**before, **now}:
            old, new = set(before.get(column, [])), set(now.get(column, []))
            lines += [f"{what}: {column}: grew by {each}" for each in sorted(new - old)]
            lines += [f"{what}: {column}: no longer {each}; `scripts/attack --update`" for each in sorted(old - new)]
    return lines
