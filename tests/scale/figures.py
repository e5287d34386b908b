"""Keeps what was measured of large clusters, and shows it: on a terminal, and as a section of `docs/performance.md`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.table import Table

ROOT = Path(__file__).parents[2]
FILE = Path(__file__).with_name("measured.json")
PAGE = ROOT / "docs" / "performance.md"
TITLE = "## Scale"
HEAD = """\
`scripts/scale` renders clusters and launches them against the lab's account with the provider's own limits, 250
requests a minute and 5,000 an hour. Their droplets have no machines: each fetches and opens its bundle, follows the
roster and reports with its own key, on a clock that nobody waits for. A droplet is active after 30 to 60 s there, a
request takes 0.1 s, one to Spaces 0.02 s, and a boot the seconds that one takes in the lab.

    scripts/scale --nodes 10 50 100 250 500 --keep    # measures, and writes this section

"""


@dataclass(frozen=True)
class Figure:
    """All that was measured with so many nodes; memory in MiB is the program's own at its peak.

    `render_*` is the first `gen render` with all keys new; `document` the largest of all nodes in bytes, `roster`
    those of the roster. `asked` counts requests to the account by kind, `limited` how many of them were refused for
    their number, `stored` those to Spaces. `simulated` are seconds by the account's clock, `seconds` those of this
    machine, `lines` what the launch printed.
    """

    nodes: int
    render_seconds: float
    render_mib: float
    rendered_bytes: int
    document: int
    roster: int
    asked: Mapping[str, int]
    limited: int
    stored: int
    simulated: float
    seconds: float
    mib: float
    lines: int

    @property
    def requests(self) -> int:
        """Count all requests to the account."""
        return sum(self.asked.values())

    @property
    def each(self) -> float:
        """Give the requests to the account per node."""
        return self.requests / self.nodes


TAIL = """\
What it took: the order of a droplet makes its tags, two requests a node less; volumes and reserved addresses are looked
at again only where some are described; of a cluster that is there no droplet is read alone where there are many. A
report or a bundle is read again only where the bucket's list shows another content. A round ends after 50 changes, so
that the roster tells where the first nodes are while the last are ordered. Before, 100 nodes took 398 requests (3.98
each) and 1,360 lines, and computing grew with the square of the nodes. Of the memory some 310 MiB are the provider's
client library, once it is loaded.

A request for ten droplets at once would be fewer still, and is no use: all ten would have the same user-data. What many
nodes are to each other, the tunnels and the API server's load, is not measured here.
"""
ROWS: Mapping[str, str] = {
    "`gen render`, all keys new": "{one.render_seconds:.0f} s, {one.render_mib:.0f} MiB",
    "rendered": "{mib:.1f} MiB",
    "largest document": "{one.document:,} bytes",
    "roster": "{one.roster:,} bytes",
    "requests of a launch": "{one.requests:,}",
    "per node": "{one.each:.2f}",
    "refused for the limit, and waited for": "{one.limited}",
    "requests to Spaces, per node": "{spaces:.1f}",
    "launch, by the account's clock": "{one.simulated:.0f} s",
    "launch, seconds of this machine": "{one.seconds:.0f} s",
    "memory of `gen launch`": "{one.mib:.0f} MiB",
    "lines that it printed": "{one.lines}",
}


def cells(one: Figure) -> list[str]:
    """Give a column's cells."""
    more = {"mib": one.rendered_bytes / 2**20, "spaces": one.stored / one.nodes}
    return [form.format(one=one, **more) for form in ROWS.values()]


def table(figures: Sequence[Figure]) -> Table:
    """Show them on a terminal."""
    shown = Table("", *(f"{one.nodes} nodes" for one in figures))
    columns = [cells(one) for one in figures]
    for number, name in enumerate(ROWS):
        shown.add_row(name.replace("`", ""), *(column[number] for column in columns))
    for kind in _kinds(figures):
        shown.add_row(kind, *(f"{one.asked.get(kind, 0):,}" for one in figures))
    return shown


def section(figures: Sequence[Figure]) -> str:
    """Write the section of the page: the figures, what each node costs, and of what kind the requests were."""
    first, last = figures[0], figures[-1]
    slope = (last.requests - first.requests) / (last.nodes - first.nodes) if last.nodes > first.nodes else last.each
    columns = [cells(one) for one in figures]
    rows = [(name, *(column[number] for column in columns)) for number, name in enumerate(ROWS)]
    kinds = [(f"`{kind}`", *(f"{one.asked.get(kind, 0):,}" for one in figures)) for kind in _kinds(figures)]
    heads = [f"{one.nodes} nodes" for one in figures]
    text = (
        f"From {first.nodes} to {last.nodes} nodes each costs {slope:.2f} requests more; what a launch costs without"
        f" any is {max(0.0, first.requests - slope * first.nodes):.0f}.\n"
    )
    return f"{TITLE}\n\n{HEAD}{_markdown(('', *heads), rows)}\n{text}\n{_markdown(('request', *heads), kinds)}\n{TAIL}"


def read(file: Path = FILE) -> list[Figure]:
    """Read what was kept."""
    return [Figure(**one) for one in json.loads(file.read_text())] if file.exists() else []


def keep(figures: Sequence[Figure], file: Path = FILE, page: Path = PAGE) -> None:
    """Keep figures in place of those of as many nodes, and write the section anew."""
    together = sorted(({one.nodes: one for one in read(file)} | {one.nodes: one for one in figures}).items())
    kept = [one for _, one in together]
    file.write_text(json.dumps([asdict(one) for one in kept], indent=1, ensure_ascii=False) + "\n")
    page.write_text(placed(page.read_text() if page.exists() else "# Performance\n", section(kept)))


def placed(text: str, section: str) -> str:
    """Put the section into a page, in place of what it was, else at the end."""
    found = re.search(rf"^{TITLE}$.*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    if found is None:
        return f"{text.rstrip()}\n\n{section}"
    rest = text[found.end() :]
    return text[: found.start()] + section + (f"\n{rest}" if rest else "")


def _kinds(figures: Sequence[Figure]) -> list[str]:
    """Name the kinds of requests, the commonest first, but those that no launch sent more than a few of."""
    kinds = {kind for one in figures for kind in one.asked}
    most = {kind: max(one.asked.get(kind, 0) for one in figures) for kind in kinds}
    return sorted((kind for kind in kinds if most[kind] > FEW), key=lambda kind: (-most[kind], kind))


FEW = 3


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |".replace("|  |", "| |"), f"|---|{'---:|' * (len(head) - 1)}"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines) + "\n"
