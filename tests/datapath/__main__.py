"""Measures one cluster: `scripts/datapath --cni bridge --datapath mesh --shape three`; exits 1 if it is wrong."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from generator.lab.display import Display
from tests import images
from tests.datapath import stage
from tests.datapath.table import SHAPES, Column, Row, keep, table
from tests.datapath.ways import measured


def main() -> int:
    """Launch, measure, show, and write the page."""
    parser = argparse.ArgumentParser(prog="scripts/datapath", description=__doc__)
    parser.add_argument("--cni", choices=stage.CNIS, default="bridge")
    parser.add_argument("--datapath", choices=stage.DATAPATHS, default="mesh")
    parser.add_argument("--shape", choices=SHAPES, default="three", help="one node, three, or three and two workers")
    parser.add_argument("--json", action="store_true", help="print what was measured as JSON")
    parser.add_argument("--keep", action="store_true", help="write docs/datapath.md with it")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the lab is taken down
    err = Console(stderr=True, highlight=False)
    with Display() as display:
        probe = images.probe(images.Maker.default(display))
    chosen = stage.Chosen(given.cni, given.datapath, given.shape)
    rows: list[Row] = []
    with TemporaryDirectory(prefix="hardway-datapath-") as directory:
        err.print(f"launch {chosen.cni} × {chosen.datapath}, {SHAPES[chosen.shape]}, in {directory}")
        with stage.launched(Path(directory), chosen, (probe,)) as (cluster, took):
            rows += [took, stage.memory(cluster)]
            with stage.working(cluster, probe) as ways:
                for row in measured(ways):
                    err.print(f"{row.name}: {row.cell}", markup=False)
                    rows.append(row)
    column = Column(chosen.cni, chosen.datapath, chosen.shape, tuple(rows))
    if given.json:
        print(json.dumps(asdict(column), ensure_ascii=False))
    else:
        Console().print(table(column))
    if given.keep:
        keep(column)
    return 1 if column.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
