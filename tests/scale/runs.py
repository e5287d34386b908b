"""Runs `gen` in a fresh process on a world's clock: how long it takes, what memory, and what it says."""

from __future__ import annotations

import contextlib
import multiprocessing
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from generator.documents import committed, render
from generator.lab.unkindness import Unkindness
from generator.pki.store import KeyStore
from generator.plan.project import Project
from generator.release import lock_file
from tests.scale import child
from tests.scale.ghosts import REAL, GhostWorld, haunted

CONTROL_PLANES, POOL = 3, 250
DESCRIPTION = """\
name: orderbook
region: fra1
release: pinned
image: debian-13-x64
network:
  vpc: 10.77.0.0/20
  nodes: 10.164.0.0/20
  pods: 10.160.0.0/14
  services: 10.43.0.0/16
pools:
- {{name: node, role: control-plane, count: {control_planes}, size: s-2vcpu-4gb}}
{workers}access:
  api: [28.51.100.7/32]
spaces: {{bucket: orderbook-hardway, region: fra1}}
addons: [bridge, coredns]
"""
"""Networks with room for a thousand nodes."""
LONGEST = "4h"


@dataclass(frozen=True)
class Run:
    """How one run of `gen` ended, what it took of this machine, and what it said."""

    code: int
    seconds: float
    peak_mib: float
    out: str
    err: str


@dataclass(frozen=True)
class Haunt:
    """A world of ghosts, the project whose nodes they are, and the clock that both have."""

    world: GhostWorld
    project: Project
    time: Any

    def gen(self, *words: str) -> Run:
        """Run one command on the world's clock."""
        return gen(*words, "--lab", "-f", str(self.project.file), haunt=self)


def describe(directory: Path, nodes: int) -> Path:
    """Write the description of a cluster of so many nodes, with a lock whose images all have digests."""
    from tests.contract.operating import pinned

    directory.mkdir(parents=True, exist_ok=True)
    control_planes = min(CONTROL_PLANES, nodes)
    left, lines = nodes - control_planes, []
    for name in ("worker", "more", "further", "last"):
        if left > 0:
            lines.append(f"- {{name: {name}, role: worker, count: {min(POOL, left)}, size: s-2vcpu-4gb}}\n")
            left -= POOL
    file = directory / "cluster.yaml"
    file.write_text(DESCRIPTION.format(control_planes=control_planes, workers="".join(lines)))
    (directory / "releases").mkdir(exist_ok=True)
    (directory / "releases" / "pinned.yaml").write_text(lock_file.dump(pinned()))
    return file


def rendered(directory: Path, nodes: int) -> Project:
    """Describe a cluster and render it in this process."""
    project = render.refresh(Project.load(describe(directory, nodes)), now=datetime.now(UTC))
    committed.write(project, render.documents(project))
    return Project.load(project.file)


@contextlib.contextmanager
def haunting(directory: Path, project: Project, unkind: Unkindness = REAL) -> Iterator[Haunt]:
    """Make a world for a rendered project's nodes."""
    shared = multiprocessing.get_context("spawn").Value("d", time.time())

    def told(now: float) -> None:
        shared.value = now

    nodes = len(project.plan.nodes)
    with haunted(directory, nodes, told, unkind) as world:
        told(world.now())
        world.inhabit(project.plan, KeyStore.open(project.keys_path, project.plan, project.inventory))
        yield Haunt(world, project, shared)


def gen(*words: str, haunt: Haunt | None = None) -> Run:
    """Run one command in a process of its own, by a world's clock where there is one."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    connection = haunt.world.connection if haunt else None
    process = context.Process(target=child.run, args=(words, there, connection, haunt.time if haunt else None))
    process.start()
    there.close()
    try:
        while isinstance(asked := here.recv(), float):
            assert haunt is not None
            haunt.world.go_on(asked)
            here.send(True)
    finally:
        process.join(60)
    return Run(*asked)
