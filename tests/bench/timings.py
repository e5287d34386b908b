"""What is timed: verbs at the operator's desk, and boots in a lab of their own."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests import images
from tests.e2e.harness import Cluster

NAME = "bench"
Seconds = Mapping[str, float]
"""What one run took, by the figure's name."""


@dataclass(frozen=True)
class Timing:
    """One thing to run, and how often."""

    run: Callable[[Path], Seconds]
    times: int


def desk(directory: Path) -> Seconds:
    """Time what is typed before anything is launched."""
    cluster = _described(directory, "bridge", "tutorial")
    return {
        "gen check": _timed(cluster, "check"),
        "gen render, all keys new": _timed(cluster, "render"),
        "gen render, again": _timed(cluster, "render"),
        "gen plan": _timed(cluster, "plan"),
    }


def boot(network: str, template: str, words: str) -> Callable[[Path], Seconds]:
    """Give what launches a cluster and times it from the command typed, and its steps by the nodes' own reports."""

    def run(directory: Path) -> Seconds:
        cluster = _described(directory, network, template)
        cluster.gen("lab", "build", timeout=7200)
        cluster.gen("render")
        with _lab(cluster):
            served = _timed(cluster, "launch", "--lab", "--yes")
            lanes = json.loads(cluster.gen("status", "--lab", "--timeline", "--json").stdout)["lanes"]
        ready = [step["ended"] for lane in lanes for step in lane["steps"] if step["name"] == "node"]
        return {f"{words}: Ready": max(ready), f"{words}: launched": served}

    return run


TIMINGS = (
    Timing(desk, 3),
    Timing(boot("bridge", "single", "1 node, bridge"), 3),
    Timing(boot("cilium", "single", "1 node, Cilium"), 2),
    Timing(boot("bridge", "tutorial", "3 nodes, bridge"), 1),
)
"""What fits ten minutes on two processors, once the lab's content is built."""


def _described(directory: Path, network: str, template: str) -> Cluster:
    cluster = Cluster(directory, name=NAME)
    cluster.gen("init", NAME, "--release", images.RELEASE, "--api", "28.51.100.7", "--template", template)
    file = directory / "cluster.yaml"
    file.write_text(file.read_text().replace("addons: [cilium,", f"addons: [{network},"))
    return cluster


@contextmanager
def _lab(cluster: Cluster) -> Iterator[None]:
    try:
        cluster.gen("lab", "up", timeout=900)
        yield
    finally:
        cluster.gen("lab", "down", check=False)


def _timed(cluster: Cluster, *argv: str) -> float:
    begun = time.monotonic()
    cluster.gen(*argv)
    return time.monotonic() - begun
