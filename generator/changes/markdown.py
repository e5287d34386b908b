"""Writes a difference as a comment for a pull request: biggest things first, and no longer than a comment may be."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence

from generator.changes.compare import Difference, Reason
from generator.changes.text import FATES, members, money, span, together
from generator.documents.user_data import LIMIT_BYTES
from generator.plain_text import harmless

LONGEST = 60_000
"""Of a comment; GitHub takes 65,536 characters. Source: https://docs.github.com/en/rest/issues/comments"""
TRUST_SHOWN = 40
CUT = "\n\n_The rest was left out: a comment takes no more. `gen diff` shows all of it._\n"
MARKS = re.compile(r"([\\`*_{}\[\]<>()#+|!~@])")


def comment(found: Difference, against: str) -> str:
    """Write the comment."""
    parts = [part for part in _parts(found, against) if part]
    whole = ""
    for part in parts:
        if len(whole) + len(part) + len(CUT) > LONGEST:
            return whole + part[: max(0, LONGEST - len(whole) - len(CUT))].rpartition("\n")[0] + CUT
        whole += part
    return whole


def code(text: str) -> str:
    """Show a text that anybody may have written as code that can't end early.

    >>> code("a `b` | <c>")
    "`a 'b' ¦ <c>`"
    """
    return f"`{harmless(text).replace('`', chr(39)).replace('|', '¦')}`" if text else ""


def plain(text: str) -> str:
    """Show a text that anybody may have written as nothing but itself: no markup, no link, no mention.

    >>> plain("@all *look*")
    '\\\\@all \\\\*look\\\\*'
    """
    return MARKS.sub(r"\\\1", html.escape(harmless(text), quote=False)).replace("\\@", "\\@")


def _parts(found: Difference, against: str) -> Iterator[str]:
    counts = {fate: len(found.by_fate(fate)) for fate in FATES}
    told = ", ".join(f"{count} {fate}" for fate, count in counts.items() if count) or "no nodes"
    yield f"### What this changes\n\nAgainst {code(against)}: {told}; {money(*found.cost)}.\n"
    if found.is_nothing:
        yield "\nNothing: every node, addon and door is as it was.\n"
        return
    yield _list(
        "Refused: no rollout can carry this", [f"**{plain(why)}** — {plain(hint)}" for why, hint in found.refused]
    )
    yield _list("Data that would be lost", [plain(line) for line in found.lost])
    yield _list("Doors", [plain(line) for line in found.doors])
    more = [f"and {len(found.trust) - TRUST_SHOWN} more"] if len(found.trust) > TRUST_SHOWN else []
    yield _list("Trust", [*(plain(line) for line in found.trust[:TRUST_SHOWN]), *more])
    for fate in FATES[:-1]:
        nodes = found.by_fate(fate)
        if nodes:
            yield f"\n#### {fate.capitalize()}: {plain(span([one.node for one in nodes]))}\n\n"
        for reason, names in together(nodes):
            yield _reasons([reason], f" on {plain(span(names))}" if names else "")
    if found.stages:
        rows = [
            f"| {number} | {plain(stage.step)} | {plain(members(stage))} {plain(stage.caveat)} |"
            for number, stage in enumerate(found.stages, start=1)
        ]
        yield "\n#### The order of `gen rollout`\n\n| | step | etcd |\n|---|---|---|\n" + "\n".join(rows) + "\n"
    if found.applied:
        title = f"Applied without recreating anything: {len(found.applied)}"
        yield f"\n<details><summary>{title}</summary>\n\n{_reasons(found.applied)}\n</details>\n"
    rows = [f"| {plain(one.node)} | {one.fate} | {one.size[0]:,} → {one.size[1]:,} |" for one in found.nodes]
    table = "| node | | bytes of its document |\n|---|---|---|\n" + "\n".join(rows)
    yield f"\n<details><summary>Every node, and the bytes of {LIMIT_BYTES:,} at most</summary>\n\n{table}\n</details>\n"
    if found.expiry:
        yield f"\nThe next certificate to end is {code(found.expiry[0])}, on {found.expiry[1]}.\n"


def _list(title: str, lines: Sequence[str]) -> str:
    return f"\n#### {title}\n\n" + "".join(f"* {line}\n" for line in lines) if lines else ""


def _reasons(reasons: Sequence[Reason], only: str = "") -> str:
    lines = [(reason.file, line) for reason in reasons for line in reason.lines or ("is another",)]
    rows = [f"* {code(file)}{only}: {code(line)}" for file, line in lines]
    return "\n".join(rows) + "\n" if rows else ""
