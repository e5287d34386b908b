"""Races kubeadm against hardway: `scripts/race --nodes 3 --times 3`."""

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
from tests.race import picture, table
from tests.race.course import Track
from tests.race.kubeadm import TREES


def main() -> int:
    """Run the sides in turns, show, and write the page's section."""
    parser = argparse.ArgumentParser(prog="scripts/race", description=__doc__)
    parser.add_argument("--nodes", type=int, choices=(1, 3), default=3, help="how many droplets (3)")
    parser.add_argument("--times", type=int, default=3, metavar="N", help="how often each side boots (3)")
    parser.add_argument("--only", choices=table.SIDES, help="one side alone")
    parser.add_argument("--cni", choices=tuple(TREES), default="bridge", help="the network for pods (bridge)")
    parser.add_argument("--datapath", choices=("mesh", "vpc"), default="mesh", help="hardway's (mesh)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of the first turn's lags; each has the next")
    parser.add_argument("--json", action="store_true", help="print what was measured as JSON")
    parser.add_argument("--keep", action="store_true", help="write docs/performance.md and its picture with it")
    given = parser.parse_args()
    if given.keep and given.only:
        parser.error("--keep wants both sides")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the lab is taken down
    err = Console(stderr=True, highlight=False, markup=False)
    race = table.Race(given.nodes, given.cni, given.datapath, table.this_machine(), table.today())
    with TemporaryDirectory(prefix="hardway-race-") as directory:
        track = Track(Path(directory), given.nodes, given.cni, given.datapath)
        err.print(f"make what both need, in {directory}")
        with Display() as display:
            track.prepare(images.Maker.default(display))
        for turn in range(given.times):
            for side in [given.only] if given.only else table.SIDES:
                err.print(f"{side}, {turn + 1} of {given.times}")
                run = track.run(side, given.seed + turn)
                err.print(json.dumps(asdict(run)), soft_wrap=True)
                race = table.joined(race, run)
    if given.json:
        print(json.dumps(asdict(race), ensure_ascii=False))
    else:
        Console().print(table.table(race))
    if given.keep:
        table.PICTURE.write_text(picture.drawing(table.keep(race)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
