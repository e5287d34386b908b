"""Launches the clusters that are measured, each in a lab of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from generator.lab.state import CGROUP, CGROUPS_DIRECTORY
from generator.plan.project import Project
from generator.release.lock_file import Image
from tests import images
from tests.datapath.table import Row
from tests.datapath.ways import Ways
from tests.datapath.workload import NAMESPACE, Workload
from tests.e2e.harness import Cluster
from tests.e2e.kubectl import Kubectl

CNIS, DATAPATHS = ("bridge", "cilium"), ("mesh", "vpc")
DESCRIPTION = """\
name: datapath
region: fra1
release: {release}
image: debian-13-x64
network: {{vpc: 10.110.0.0/20, nodes: 10.44.0.0/24, pods: 10.42.0.0/16, services: 10.43.0.0/16, datapath: {datapath}}}
pools:
{pools}
access: {{api: [28.51.100.7/32]}}
spaces: {{bucket: datapath-hardway, region: fra1}}
ingress: {{namespaces: [{namespace}]}}
addons: [{cni}, coredns, ingress]
"""
CONTROL_PLANE = "- {{name: node, role: control-plane, schedulable: {takes}, count: {count}, size: s-2vcpu-4gb}}"
WORKERS = "- {{name: work, role: worker, count: {count}, size: s-2vcpu-4gb}}"
POOLS = {
    "one": CONTROL_PLANE.format(takes="true", count=1),
    "two": f"{CONTROL_PLANE.format(takes='true', count=1)}\n{WORKERS.format(count=1)}",
    "three": CONTROL_PLANE.format(takes="true", count=3),
    "five": f"{CONTROL_PLANE.format(takes='false', count=3)}\n{WORKERS.format(count=2)}",
}


@dataclass(frozen=True)
class Chosen:
    """Which cluster it is."""

    cni: str
    datapath: str
    shape: str


def described(directory: Path, chosen: Chosen) -> Cluster:
    """Describe a cluster in a directory, and have the lab's content made, with a lock that may be added to."""
    cluster = Cluster(directory, name="datapath")
    cluster.gen("init", cluster.name, "--release", images.RELEASE, "--api", "28.51.100.7")
    values = {"release": images.RELEASE, "datapath": chosen.datapath, "cni": chosen.cni, "namespace": NAMESPACE}
    (directory / "cluster.yaml").write_text(DESCRIPTION.format(pools=POOLS[chosen.shape], **values))
    cluster.gen("lab", "build", timeout=7200)
    return cluster


@contextmanager
def up(cluster: Cluster, chosen: Chosen, gen: Callable[..., object] | None = None) -> Iterator[Row]:
    """Launch what is rendered, tell how long it took, and take the lab down in the end.

    Args:
        gen: runs a verb of the program that rendered it; this one's unless given.
    """
    try:
        cluster.gen("lab", "up", timeout=900)
        if chosen.datapath == "vpc":
            # Plain routes work where a VPC lets pods' addresses pass; the lab's does when it is told to.
            cluster.gen("lab", "spoofing", "on")
        begun = time.monotonic()
        (gen or cluster.gen)("launch", "--lab", "--yes")
        yield Row("launched in", True, f"{time.monotonic() - begun:.0f} s")
    finally:
        cluster.gen("lab", "down", check=False)


@contextmanager
def launched(directory: Path, chosen: Chosen, brought: tuple[Image, ...]) -> Iterator[tuple[Cluster, Row]]:
    """Launch a cluster in a lab of its own, with images of tests in its registries."""
    cluster = described(directory, chosen)
    images.bring(directory, brought)
    cluster.gen("check")
    cluster.gen("render")
    with up(cluster, chosen) as took:
        yield cluster, took


@contextmanager
def working(cluster: Cluster, probe: Image) -> Iterator[Ways]:
    """Run the workload in a cluster, and end it."""
    workload = Workload(cluster, Kubectl(cluster))
    workload.apply(probe)
    try:
        yield Ways(cluster, Project.load(cluster.directory / "cluster.yaml").plan, workload)
    finally:
        workload.remove()


def memory(cluster: Cluster) -> Row:
    """Tell what the processes of a node hold in memory, files aside, from the node with least to that with most."""
    found = []
    for pattern in (f"{CGROUP}/{cluster.lab.name}/hardway-*", f"*/{CGROUP}/{cluster.lab.name}/hardway-*"):
        for file in CGROUPS_DIRECTORY.glob(f"{pattern}/memory.stat"):
            numbers = dict(line.split() for line in file.read_text().splitlines())
            # the names of version 1 and 2 of control groups
            found.append(int(numbers.get("total_rss", numbers.get("anon", 0))) >> 20)
    name = "memory of a node"
    return Row(name, bool(found), f"{min(found)} to {max(found)} MiB" if found else "no control group tells it")
