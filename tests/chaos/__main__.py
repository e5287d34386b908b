"""Walks: `scripts/chaos --seed N --minutes M`; exits 1 with the seed and the step that broke something."""

from __future__ import annotations

import argparse
import random
import re
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp

from tests.chaos import invariants
from tests.chaos.steps import ALL, POOL, commit
from tests.chaos.walk import FAULTS, Step
from tests.chaos.walk import walk as choose
from tests.e2e.harness import Cluster, connected_by_bridge, run
from tests.e2e.load import Objects


def main() -> int:
    """Bring a cluster up, walk, and take it down."""
    parser = argparse.ArgumentParser(prog="scripts/chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--minutes", type=float, default=30)
    names = [fault.name for fault in FAULTS]
    parser.add_argument("--fault", action="append", choices=names, metavar="NAME", help=f"only: {', '.join(names)}")
    given = parser.parse_args()
    faults = [fault for fault in FAULTS if fault.name in (given.fault or names)]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the lab is taken down
    cluster = Cluster(Path(mkdtemp(prefix="hardway-chaos-")))
    print(f"seed {given.seed}, {given.minutes:g} minutes, in {cluster.directory}", flush=True)
    try:
        begin(cluster)
        return walk(cluster, choose(given.seed, keeper(cluster), faults), 60 * given.minutes, given.seed)
    finally:
        cluster.gen("lab", "down", check=False)


def begin(cluster: Cluster) -> None:
    """Launch the tutorial's cluster and a worker in a lab of its own, in which addresses are soon another's."""
    cluster.gen("init", "orderbook", "--release", "k8s-1.36-source", "--api", "28.51.100.7")
    connected_by_bridge(cluster.directory)
    cluster.gen("lab", "build", timeout=3600)
    file = cluster.directory / "cluster.yaml"
    file.write_text(re.sub(r"(- \{name: node[^\n]*\n)", rf"\1{POOL}\n", file.read_text()))
    cluster.gen("render")
    run("git", "init", "-q", cwd=cluster.directory)
    commit(cluster)
    cluster.gen("lab", "up", "--unkind", "recycled_addresses=yes", "--unkind", "droplet_limit=20")
    cluster.gen("launch", "--lab", "--yes")


def walk(cluster: Cluster, step: Callable[[], Step], seconds: float, seed: int) -> int:
    """Step until time is up; after each step the invariants hold, and everything acknowledged is there."""
    number, generation, written, end = 0, 0, 0, time.monotonic() + seconds
    while time.monotonic() < end:
        number += 1
        fault, node, chance = step()
        writer = chance.choice([other for other in ALL if other != node])
        objects = Objects(cluster, writer, f"step{number}")
        begun = time.monotonic()
        try:
            fault.do(cluster, node, chance)
            generation = invariants.hold(cluster, generation)
            found = objects.stop()
            assert found.is_kept, f"what was acknowledged is not what is there: {found}"
        except (AssertionError, OSError) as error:
            print(f"FAILED: seed {seed}, step {number}: {fault.name} of {node}: {error}", flush=True)
            print(cluster.gen("status", "--lab", "--ask", check=False).stdout, flush=True)
            return 1
        written += found.count
        print(f"{number:>3} {fault.name} of {node}, {time.monotonic() - begun:.0f} s; {found}", flush=True)
    print(f"held: {number} steps, {written} objects written, none of those acknowledged lost", flush=True)
    return 0


def keeper(cluster: Cluster) -> str:
    """Name the node whose own disk has the database."""
    for volume in cluster.items("persistentvolumes"):
        spec = volume["spec"]
        if "claimRef" in spec:  # type: ignore[operator]
            terms = spec["nodeAffinity"]["required"]["nodeSelectorTerms"]  # type: ignore[index]
            return str(terms[0]["matchExpressions"][0]["values"][0])
    return ""


if __name__ == "__main__":
    sys.exit(main())
