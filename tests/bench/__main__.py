"""Times what people wait for: `scripts/bench`; exits 1 where a figure is worse than the one that was kept."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from tests.bench import yardstick
from tests.bench.figures import Figure, compare, keep, read, table
from tests.bench.timings import TIMINGS


def main() -> int:
    """Run every timing, each beside a yardstick of its own, compare, and show."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print what was timed as JSON")
    parser.add_argument("--keep", action="store_true", help="keep it: what later runs are compared with")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the lab is taken down
    err = Console(stderr=True, highlight=False)
    seconds, sticks = defaultdict[str, list[float]](list), defaultdict[str, list[float]](list)
    for timing in TIMINGS:
        for _ in range(timing.times):
            stick = yardstick.seconds()
            with TemporaryDirectory(prefix="hardway-bench-") as directory:
                found = timing.run(Path(directory))
            for name, took in found.items():
                err.print(f"{name}: {took:.1f} s, {took / stick:.2f} yardsticks", markup=False)
                seconds[name].append(took)
                sticks[name].append(stick)
    figures = [Figure(name, tuple(took), tuple(sticks[name])) for name, took in seconds.items()]
    verdicts = compare(figures, read())
    if given.json:
        print(json.dumps([{**asdict(one.figure), "change": one.change, "word": one.word} for one in verdicts]))
    else:
        Console().print(table(verdicts))
    if given.keep:
        keep(figures)
    return 1 if any(one.word == "worse" for one in verdicts) else 0


if __name__ == "__main__":
    sys.exit(main())
