"""Runs one side of the race once, in a lab of its own: a command is typed, and what comes of it is watched."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from generator.lab.connection import connection
from generator.plan.project import Project
from generator.release import lock_file
from tests import images
from tests.e2e.harness import GEN, Cluster
from tests.e2e.harness import run as command
from tests.race import content, counters, kubeadm
from tests.race.account import Account
from tests.race.table import SIDES, Run
from tests.race.watch import Credentials, Watch, kubeconfig_of

LIMIT_SECONDS = 600
DESCRIPTION = """\
name: race
region: fra1
release: {release}
image: debian-13-x64
network: {{vpc: 10.110.0.0/20, nodes: 10.44.0.0/24, pods: 10.42.0.0/16, services: 10.43.0.0/16, datapath: {datapath}}}
pools:
- {{name: node, role: control-plane, schedulable: true, count: {count}, size: s-2vcpu-4gb}}
access: {{api: [28.51.100.7/32]}}
spaces: {{bucket: race-hardway, region: fra1}}
ingress: {{namespaces: []}}
addons: [{cni}, coredns, ingress, order-book]
"""
# A person's script has no answer to a droplet that was made although the provider said 500.
KINDNESS = ("--unkind", "failing_creates=0")
# kubeadm has two of them on a single node as well.
DNS = {"kubeadm": 2}
ADMIN = "etc/kubernetes/admin.conf"


@dataclass(frozen=True)
class Track:
    """Two directories with the same description: one is hardway's, the lock of the other has kubeadm in it as well."""

    directory: Path
    nodes: int
    cni: str
    datapath: str
    joining: kubeadm.Secrets = field(default_factory=kubeadm.Secrets)

    def of(self, side: str) -> Cluster:
        """Give the directory of a side, which has a lab of its own."""
        return Cluster(self.directory / side, name="race")

    @functools.cached_property
    def project(self) -> Project:
        """Read what hardway rendered."""
        return Project.load(self.of("hardway").directory / "cluster.yaml")

    def prepare(self, maker: images.Maker) -> None:
        """Have everything made that nobody is timed for: content, keys, documents."""
        shape = {"count": self.nodes, "cni": self.cni, "datapath": self.datapath}
        text = DESCRIPTION.format(release=images.RELEASE, **shape)
        for side in SIDES:
            cluster = self.of(side)
            cluster.directory.mkdir()
            cluster.gen("init", cluster.name, "--release", images.RELEASE, "--api", "28.51.100.7")
            (cluster.directory / "cluster.yaml").write_text(text)
            cluster.gen("lab", "build", timeout=7200)
        self.of("hardway").gen("check")
        self.of("hardway").gen("render")
        other = self.of("kubeadm").directory
        release = lock_file.load(images.RELEASE, other)
        content.bring(other, release, content.make(maker, release))

    def run(self, side: str, seed: int) -> Run:
        """Run a side once.

        Args:
            seed: of the lab's lags and addresses; both sides of a turn have the same.

        Raises:
            AssertionError: it did not come to its end; what was missing, and the nodes' last words.
        """
        cluster = self.of(side)
        try:
            cluster.gen("lab", "up", "--seed", str(seed), *KINDNESS, timeout=900)
            # plain routes carry pods' own addresses
            cluster.gen("lab", "spoofing", "on")
            typed = Typed(self._launch(cluster) if side == "hardway" else self._create(cluster))
            watch = self._watch(side)
            began = time.time()
            typed.start()
            whole = watch.run(LIMIT_SECONDS, lambda: typed.error is not None)
            processors, fetched = counters.processor_seconds(cluster.lab), counters.fetched_bytes(cluster.lab)
            start = counters.first_start(cluster.lab)
            if not whole:
                raise AssertionError(f"{side}: {watch.seen}, last {watch.last}, {typed.error}\n{_words(cluster)}")
            typed.join()
        finally:
            cluster.gen("lab", "down", check=False)
        seconds = {name: round(moment - began, 2) for name, moment in watch.seen.items()}
        return Run(side, round(start - began, 2), seconds, round(processors, 1), fetched)

    def _launch(self, cluster: Cluster) -> Callable[[], object]:
        """Give hardway's command."""
        words = ("setpriv", "--pdeathsig", "KILL", GEN, "launch", "--lab", "--yes")  # with the thread that waits for it
        return lambda: command(*words, cwd=cluster.directory, timeout=LIMIT_SECONDS)

    def _create(self, cluster: Cluster) -> Callable[[], object]:
        """Give what stands for the command of a person who uses kubeadm; the VPC is there already."""
        account, plan = Account(connection(cluster.lab)), self.project.plan
        order = {
            "region": plan.region,
            "size": plan.nodes[0].size,
            "image": plan.image,
            "vpc_uuid": account.vpc(plan.region),
        }
        names = [node.name for node in plan.nodes]
        rendered, keys = self.project.rendered_path, self.project.keys_path
        first = kubeadm.user_data(plan, rendered, keys, self.joining)

        def user_data(address: str | None) -> str:
            return kubeadm.user_data(plan, rendered, keys, self.joining, address) if address else first

        return lambda: account.droplets(order, names, user_data)

    def _watch(self, side: str) -> Watch:
        cluster, plan, keys = self.of(side), self.project.plan, self.project.keys_path
        own = [keys / name for name in ("kubernetes-ca.crt", "admin.crt", "admin.key")]

        def credentials() -> Credentials | None:
            if side == "kubeadm":
                return kubeconfig_of(cluster.lab, ADMIN)
            return Credentials(*(path.read_bytes() for path in own))

        pods = {"coredns": DNS.get(side, plan.replicas), "traefik": self.nodes, "postgres": 1, "limit-order-book": 1}
        book = (plan.order_book_host, self.of("hardway").authority.read_text())
        return Watch(cluster.lab, cluster.proxy, self.nodes, pods, credentials, book)


class Typed(threading.Thread):
    """A command that runs beside its watch; `error` says how it failed."""

    def __init__(self, work: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self._work = work
        self.error: Exception | None = None

    def run(self) -> None:
        """Do the work."""
        try:
            self._work()
        except Exception as error:  # told by whoever waits
            self.error = error


def _words(cluster: Cluster) -> str:
    """Give the last words of each node's own script, and of what it started."""
    found = []
    for node in ("node01", "node02", "node03"):
        for words in (("tail", "-n", "40", "/var/log/cloud-init-output.log"), ("journalctl", "-n", "40", "-p", "err")):
            done = cluster.on(node, *words, check=False)
            found.append(f"--- {node}: {' '.join(words)}\n{done.stdout}{done.stderr}")
    return "\n".join(found)
