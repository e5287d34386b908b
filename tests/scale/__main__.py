"""Launches clusters of many nodes: `scripts/scale --nodes 10 500`; exits 1 where a launch fails or asks too much."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from tests.scale.figures import Figure, keep, table

MOST_EACH = 4.0
"""Requests per node; fewer nodes than fifty share what every launch asks."""


def main() -> int:
    """Measure each size, show, and write the section."""
    parser = argparse.ArgumentParser(prog="scripts/scale", description=__doc__)
    parser.add_argument("--nodes", type=int, nargs="+", default=[10, 50, 100, 250, 500])
    parser.add_argument("--json", action="store_true", help="print what was measured as JSON")
    parser.add_argument("--keep", action="store_true", help="write docs/performance.md with it")
    given = parser.parse_args()
    from tests.scale.measure import measured  # what a fresh process imports again is as little as can be

    err = Console(stderr=True, highlight=False)
    figures: list[Figure] = []
    for nodes in sorted(given.nodes):
        err.print(f"{nodes} nodes")
        with TemporaryDirectory(prefix="hardway-scale-") as directory:
            figures.append(measured(Path(directory), nodes, lambda text: err.print(text, markup=False)))
    if given.json:
        print(json.dumps([asdict(one) for one in figures]))
    else:
        Console().print(table(figures))
    if given.keep:
        keep(figures)
    return 1 if any(one.nodes >= 50 and one.each >= MOST_EACH for one in figures) else 0


if __name__ == "__main__":
    sys.exit(main())
