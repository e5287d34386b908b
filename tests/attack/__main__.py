"""Plays every theft in a lab, prints what each reached, and compares it with what is committed."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.attack import stage
from tests.attack.expected import FILE, differences, dump, read
from tests.attack.thefts import play_all


def main() -> int:
    err = Console(stderr=True)
    with tempfile.TemporaryDirectory() as directory, stage.launched(Path(directory)) as on:
        reached = play_all(on, lambda what: err.print(f"played: {what}"))
    table = Table("theft", "where", "reached", show_lines=True)
    for what, columns in reached.items():
        for number, (column, found) in enumerate(columns.items()):
            table.add_row(what if number == 0 else "", column, "\n".join(found))
    Console().print(table)
    if "--update" in sys.argv:
        FILE.write_text(dump(reached))
        return 0
    wrong = differences(read(), reached)
    for line in wrong:
        err.print(line, markup=False)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
