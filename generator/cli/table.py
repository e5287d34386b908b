"""Prints tables: every column as wide as its longest cell, nothing cut off, on a terminal and into a pipe."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from io import StringIO

from generator.plain_text import harmless


def text_table(head: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    r"""Lay out rows of cells below their headings, without a newline at the end.

    >>> print(text_table(("NODE", "N"), [("node01", 1), ("node02", 2)]))
    NODE    N
    node01  1
    node02  2
    >>> print(text_table(("NODE",), [("\u754c" * 9,)]).splitlines()[1] == "\u754c" * 9)
    True
    """
    from rich.cells import cell_len  # not for `gen --help`
    from rich.console import Console
    from rich.table import Table

    table = Table(*head, box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="")
    cells = [tuple(harmless(str(cell)) for cell in row) for row in rows]
    for row in cells:
        table.add_row(*row)
    width = sum(max(map(cell_len, column)) + 2 for column in zip(head, *cells, strict=True))
    written = StringIO()
    Console(file=written, width=width, color_system=None, markup=False, highlight=False).print(table)
    return "\n".join(line.rstrip() for line in written.getvalue().splitlines())
