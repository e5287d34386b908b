"""Keeps what was measured, and shows it: on a terminal, and as the page `docs/datapath.md`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.table import Table

ROOT = Path(__file__).parents[2]
FILE = Path(__file__).with_name("measured.json")
PAGE = ROOT / "docs" / "datapath.md"
HEAD = """\
# The datapath, measured

`scripts/datapath` launches a cluster in a lab of its own, runs two pods on each node and one in each node's own
network, and has every one try every way; what they saw is written here, by it. A cell that failed says what was seen.

    scripts/datapath --cni bridge --datapath mesh --shape three --keep    # measures one column, and writes this page

What is counted is the same everywhere. Speeds are those of the machine that it ran on, whose processors all nodes
share: only their ratio tells something, what pods send to each other beside what their nodes do by the same way. In a
cluster of one node that is a way through the node's own memory.

"""
SHAPES = {"one": "1 node", "two": "2 nodes", "three": "3 nodes", "five": "3 + 2 nodes"}


@dataclass(frozen=True)
class Row:
    """One thing that was measured: whether it is as it has to be, and what was seen."""

    name: str
    is_right: bool
    seen: str

    @property
    def cell(self) -> str:
        """Show it in a table."""
        return self.seen if self.is_right else f"**no**: {self.seen}"


@dataclass(frozen=True)
class Column:
    """All that was measured of one cluster."""

    cni: str
    datapath: str
    shape: str
    rows: tuple[Row, ...]

    @property
    def title(self) -> str:
        """Name it."""
        return f"{self.cni} × {self.datapath}, {SHAPES[self.shape]}"

    @property
    def wrong(self) -> tuple[Row, ...]:
        """Give what is not as it has to be."""
        return tuple(row for row in self.rows if not row.is_right)


def table(column: Column) -> Table:
    """Show one column on a terminal."""
    shown = Table("", column.title, show_lines=True)
    for row in column.rows:
        shown.add_row(row.name, row.seen, style="" if row.is_right else "red")
    return shown


def page(columns: Iterable[Column]) -> str:
    """Write the page: a table a shape, a column a CNI and datapath."""
    ordered = sorted(columns, key=lambda column: (list(SHAPES).index(column.shape), column.cni, column.datapath))
    text = HEAD
    for shape, title in SHAPES.items():
        if found := [column for column in ordered if column.shape == shape]:
            text += f"## {title[0].upper()}{title[1:]}\n\n{_markdown(found)}\n"
    return text.rstrip("\n") + "\n"


def read() -> list[Column]:
    """Read what was measured before."""
    if not FILE.exists():
        return []
    return [_column(each) for each in json.loads(FILE.read_text())]


def keep(column: Column) -> None:
    """Keep what was measured in place of what was there before, and write the page anew."""
    same = (column.cni, column.datapath, column.shape)
    others = [each for each in read() if (each.cni, each.datapath, each.shape) != same]
    columns = sorted([*others, column], key=lambda each: (each.cni, each.datapath, each.shape))
    FILE.write_text(json.dumps([asdict(each) for each in columns], indent=1, ensure_ascii=False) + "\n")
    PAGE.write_text(page(columns))


def _column(value: Mapping[str, object]) -> Column:
    rows = value["rows"]
    assert isinstance(rows, list)
    return Column(str(value["cni"]), str(value["datapath"]), str(value["shape"]), tuple(Row(**row) for row in rows))


def _markdown(columns: Sequence[Column]) -> str:
    names = list(dict.fromkeys(row.name for column in columns for row in column.rows))
    cells = [{row.name: row.cell for row in column.rows} for column in columns]
    titles = " | ".join(f"{column.cni} × {column.datapath}" for column in columns)
    lines = [f"| | {titles} |", f"|---|{'---|' * len(columns)}"]
    lines += [f"| {name} | {' | '.join(each.get(name, '–') for each in cells)} |" for name in names]
    return "\n".join(lines) + "\n"
