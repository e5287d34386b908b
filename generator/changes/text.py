"""Shows a difference to a person at a terminal: the worst first, and what many nodes share once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from generator.changes.compare import Difference, Fate, Fated, Reason, Stage
from generator.documents.user_data import LIMIT_BYTES

FATES: tuple[Fate, ...] = ("recreated", "new", "removed", "unchanged")


def text(found: Difference) -> str:
    """Write everything that is to be said, without an end of line."""
    if found.is_nothing:
        return "nothing changes: every node, addon and door is as it was"
    return "\n".join(_parts(found))


def together(nodes: Sequence[Fated]) -> Iterator[tuple[Reason, tuple[str, ...]]]:
    """Give each reason once, with the nodes that it holds for; none where it holds for all of them."""
    holds: dict[Reason, list[str]] = {}
    for one in nodes:
        for reason in one.reasons:
            holds.setdefault(reason, []).append(one.node)
    yield from ((reason, () if len(names) == len(nodes) else tuple(names)) for reason, names in holds.items())


def span(names: Sequence[str]) -> str:
    """Name several nodes.

    >>> span(("node01", "node02")), span(("a01",))
    ('node01, node02', 'a01')
    """
    return ", ".join(names)


def members(stage: Stage) -> str:
    """Tell how many members etcd has on the way."""
    if stage.members is None:
        return ""
    before, meanwhile, after = stage.members
    quorum = max(before, 1) // 2 + 1
    steps = f"{before} → {meanwhile} → {after}" if meanwhile not in (before, after) else f"{before} → {after}"
    return f"etcd {steps}, {'holds' if meanwhile >= min(quorum, meanwhile or 1) and meanwhile else 'is away'}"


def money(before: int, after: int) -> str:
    """Tell what a month costs, and by how much that changes."""
    change = f", {'+' if after > before else '-'}${abs(after - before)}" if before != after else ""
    return f"${after} a month{change}"


def _parts(found: Difference) -> Iterator[str]:
    for why, hint in found.refused:
        yield f"refused    {why}\n           {hint}"
    yield from (f"data       {line}" for line in found.lost)
    for fate in FATES:
        nodes = found.by_fate(fate)
        if nodes:
            yield f"{fate:<10} {span([one.node for one in nodes])}" + (", because of" if nodes[0].reasons else "")
        for reason, names in together(nodes):
            only = f"  ({span(names)})" if names else ""
            yield from (f"             {reason.file}: {line}{only}" for line in reason.lines or ("is another",))
    for reason in found.applied:
        yield from (f"applied    {reason.file}: {line}" for line in reason.lines or ("is another",))
    yield from (f"door       {line}" for line in found.doors)
    yield from (f"trust      {line}" for line in found.trust)
    for number, stage in enumerate(found.stages, start=1):
        counted = members(stage)
        yield f"order {number:>4} {stage.step}" + (f"  ({counted})" if counted else "")
        if stage.caveat:
            yield f"             {stage.caveat}"
    largest = max(found.nodes, key=lambda one: one.size[1], default=None)
    if largest is not None:
        yield f"bytes      {largest.size[1]:,} of {LIMIT_BYTES:,} at most, {largest.node}'s document"
    yield f"cost       {money(*found.cost)}"
    if found.expiry:
        yield f"expiry     {found.expiry[1]}, {found.expiry[0]}"
