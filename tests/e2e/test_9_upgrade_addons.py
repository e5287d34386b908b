"""CoreDNS and Traefik come from the minor version before to the lock's in a living cluster, while all is in use."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest

from generator.release import lock_file
from generator.release.lock_file import Image
from tests import images
from tests.datapath import stage
from tests.datapath.ways import Ways
from tests.datapath.workload import CALLERS, NAMESPACE, WEB_HOST, Pod, reach
from tests.e2e.harness import Cluster, until
from tests.upgrade.load import Load, account, nowhere
from tests.upgrade.older import Older, older

pytestmark = pytest.mark.long

CHOSEN = stage.Chosen("bridge", "mesh", "two")
LATE = 0.02
"""Of all attempts between pods, which part may take longer than two seconds."""
OF = {"coredns": ("kube-system", "deployment/coredns"), "traefik": ("ingress", "daemonset/traefik")}


@dataclass(frozen=True)
class Living:
    """A cluster with the versions before, its workload, and the lock's images."""

    ways: Ways
    current: dict[str, Image]
    older: Older


@pytest.fixture
def living(tmp_path: Path) -> Iterator[Living]:
    """Launch with the older versions, rendered as the program before would have; the lab has the newer ones as well."""
    directory, copy = tmp_path / "cluster", tmp_path / "older"
    directory.mkdir()
    copy.mkdir()
    maker = images.Maker.default()
    probe = images.probe(maker)
    cluster = stage.described(directory, CHOSEN)
    release = lock_file.load(images.RELEASE, directory)
    before = older(maker, release.images, copy)
    current = {name: release.image(name) for name in OF}
    beside = tuple(replace(image, name=f"{image.name}-later") for image in current.values())
    images.bring(directory, (*before.images, *beside, probe))
    before.gen(directory, "render")
    with stage.up(cluster, CHOSEN, partial(before.gen, directory)), stage.working(cluster, probe) as ways:
        yield Living(ways, current, before)


def test_addons_are_upgraded_while_they_are_in_use(living: Living) -> None:
    ways, cluster = living.ways, living.ways.cluster
    assert running(ways) == {image.name: image.pinned for image in living.older.images}
    droplets = identities(cluster)
    inside, outside = loads(ways)
    time.sleep(5)
    images.bring(cluster.directory, tuple(living.current.values()))
    cluster.gen("render")
    begun = time.monotonic()
    cluster.gen("launch", "--lab", "--yes")
    until("the newer versions", lambda: running(ways) == {n: image.pinned for n, image in living.current.items()}, 300)
    for namespace, name in OF.values():
        ways.workload.kubectl("rollout", "status", name, "-n", namespace, "--timeout=240s", timeout=250)
    seconds = time.monotonic() - begun
    time.sleep(5)
    found = {**inside.stop(), **outside.stop()}
    print(f"upgraded in {seconds:.0f} s")
    for name, attempts in found.items():
        print(f"{name}: {account(attempts)}")
    assert all(len(attempts) > 100 for attempts in found.values())
    # Nothing of the way between pods is an addon's that was replaced: only a machine that is too busy is late.
    for name in ("pod → pod", "pod → Service"):
        assert account(found[name]).failed <= LATE * len(found[name]), name
    # One replica of two at a time, one node of all at a time: whoever asks another finds an answer.
    at_nodes = [attempts for name, attempts in found.items() if name.startswith("outside → ")]
    print(f"half seconds in which no node's ingress answered: {nowhere(at_nodes)}")
    assert nowhere(at_nodes) == 0
    assert nowhere([found["pod → DNS"]]) == 0
    assert identities(cluster) == droplets, "a node was recreated for an addon"


def loads(ways: Ways) -> tuple[Load, Load]:
    """Start asking: within a pod DNS, another pod and a Service, and from outside each node's ingress."""
    pod, other = ways.workload.of("one")[0], ways.workload.of("two")[-1]
    inside = {
        "pod → DNS": reach("lookup", "kubernetes.default.svc.cluster.local.", seconds=2),
        "pod → pod": reach("caller", f"{other.address}:{CALLERS}", seconds=2),
        "pod → Service": reach("caller", f"{ways.service}:{CALLERS}", seconds=2),
    }
    nodes = [node.name for node in ways.plan.nodes if node.schedulable]
    outside = {
        f"outside → {node}": reach("page", f"http://{ways.cluster.address(node)}/caller", host=WEB_HOST, seconds=2)
        for node in nodes
    }
    directory = ways.cluster.directory
    program = str(images.program(images.PROBE))
    namespace = ["nsenter", f"--net=/run/netns/{ways.cluster.lab.operator_namespace}", program, "load"]
    return Load(within(ways, pod), inside, directory / "inside.jsonl"), Load(
        namespace, outside, directory / "outside.jsonl"
    )


def within(ways: Ways, pod: Pod) -> list[str]:
    """Give the command that runs a load in a pod."""
    kubectl = ways.workload.kubectl
    words = ["exec", "-i", "-n", NAMESPACE, pod.name, "-c", "probe", "--", "probe", "load"]
    return [str(kubectl.program), f"--kubeconfig={kubectl.kubeconfig}", *words]


def running(ways: Ways) -> dict[str, str]:
    """Tell which images the pods of both addons run, all of them and nothing but them."""
    found: dict[str, str] = {}
    for name, (namespace, _) in OF.items():
        pods = ways.workload.kubectl.items("pods", "-n", namespace)
        of = {c["image"] for pod in pods for c in pod["spec"]["containers"] if c["name"] == name}
        found[name] = ", ".join(sorted(of))
    return found


def identities(cluster: Cluster) -> dict[str, object]:
    """Give each node's droplet."""
    status = json.loads(cluster.gen("status", "--lab", "--json", check=False).stdout)
    return {node["node"]: node["droplet"] for node in status["nodes"]}
