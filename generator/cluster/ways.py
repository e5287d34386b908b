"""Reads what nodes say of the paths from their pods: to those of each peer, to DNS, to the API, to the outside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from generator.plain_text import clean

MOST_PEERS = 500
CAUSE_LENGTH = 300
CHECKS = {"dns": "DNS", "service": "the API's Service", "egress": "egress"}
"""What is tried besides peers, and what it is called; a node says more only if it is newer than this program."""
WIDE = 12
"""A table with more nodes shows those peers alone that somebody does not reach."""


@dataclass(frozen=True)
class Way:
    """The path to one peer's pods; `mtu` is the largest packet that passes, None where that isn't told.

    `cause` says what is in the way, empty where nothing is.
    """

    peer: str
    reached: bool
    connects: bool = True
    mtu: int | None = None
    cause: str = ""

    @property
    def sentence(self) -> str:
        """Say what is wrong, after the peer's name."""
        return f"answer: {self.cause}" if self.reached else f"unreachable: {self.cause}"


@dataclass(frozen=True)
class Ways:
    """What one node found: of `peers` peers all `ways`, or in a report some of those that are blocked.

    `checks` has what is wrong beyond peers by its name, empty where nothing is; `unlisted` counts the blocked ways that
    a report had no room for. A report holds faults alone: what `is_report` does not name was tried and is right.
    """

    peers: int
    ways: tuple[Way, ...]
    checks: Mapping[str, str] = field(default_factory=dict)
    unlisted: int = 0
    is_report: bool = False

    @property
    def faults(self) -> tuple[Way, ...]:
        """Give the paths with something in the way."""
        return tuple(one for one in self.ways if one.cause)

    @property
    def reached(self) -> str:
        """Say how many peers' pods are reached as they should be."""
        return f"{self.peers - len(self.faults) - self.unlisted} of {self.peers}"


def read_ways(result: Any) -> Ways:
    """Read what a node answered; an older one lists its peers alone.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: it is no such thing.
    """
    entries = result["peers"] if isinstance(result, dict) else result
    checks = result["checks"] if isinstance(result, dict) else {}
    ways = tuple(_way(entry) for entry in entries[:MOST_PEERS])
    return Ways(len(ways), ways, _checks(checks))


def read_told(entry: Any) -> Ways:
    """Read the part of a report that says what is wrong.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: it is no such thing.
    """
    faults = tuple(_way(one) for one in entry["faults"][:MOST_PEERS])
    unlisted = max(0, int(entry["blocked"]) - len(faults))
    return Ways(max(0, int(entry["peers"])), faults, _checks(entry["checks"]), unlisted, is_report=True)


def faults(seen: Mapping[str, Ways]) -> Iterator[str]:
    """Say what is wrong, a line each, with the nodes that see it."""
    lines: dict[tuple[str, str], list[str]] = {}
    for node, ways in seen.items():
        for way in ways.faults:
            state = "" if way.reached else " unreachable"
            lines.setdefault((f"pods of {way.peer}{state}", way.cause), []).append(node)
        for name, trouble in ways.checks.items():
            if trouble:
                lines.setdefault((CHECKS.get(name, name), trouble), []).append(node)
    for (what, said), nodes in sorted(lines.items()):
        yield f"{what} from {', '.join(nodes)}: {said}"


def matrix(names: Sequence[str], seen: Mapping[str, Ways]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Lay out who reaches whose pods: headings, and a row for each node that was heard.

    A cell has the largest packet that passes, `ok` where that isn't told, what is wrong in a word, or `-` for what was
    not tried.
    """
    columns = list(names)
    if len(columns) > WIDE:
        blocked = {way.peer for ways in seen.values() for way in ways.faults}
        columns = [name for name in names if name in blocked]
    head = ("FROM", "REACHES", *columns, *(name.upper() for name in CHECKS))
    rows = []
    for node, ways in seen.items():
        by_peer = {way.peer: way for way in ways.ways}
        unnamed = "ok" if ways.is_report else "-"
        cells = ("-" if name == node else _cell(by_peer.get(name), unnamed) for name in columns)
        rows.append((node, ways.reached, *cells, *(_check(ways.checks.get(name), unnamed) for name in CHECKS)))
    return head, rows


def _check(trouble: str | None, unnamed: str) -> str:
    return unnamed if trouble is None else "no" if trouble else "ok"


def _cell(way: Way | None, unnamed: str) -> str:
    if way is None:
        return unnamed
    if not way.reached:
        return "no"
    size = str(way.mtu) if way.mtu else "ok"
    return size if not way.cause else f"{size}!" if way.connects else "no TCP"


def _way(entry: Any) -> Way:
    cause = clean(str(entry["cause"] or ""))[:CAUSE_LENGTH]
    return Way(
        peer=clean(str(entry["peer"]))[:63],
        reached=bool(entry.get("icmp", not cause)),
        connects=bool(entry.get("tcp", True)),
        mtu=int(entry["mtu"]) if entry.get("mtu") else None,
        cause=cause,
    )


def _checks(entry: Any) -> Mapping[str, str]:
    return {clean(str(name))[:20]: clean(str(said or ""))[:CAUSE_LENGTH] for name, said in list(entry.items())[:8]}
