"""What a person does to a cluster: replaces nodes, rolls out, scales; also twice, and killed in the middle."""

from __future__ import annotations

import random
import re
import signal
import subprocess

from tests.e2e.harness import GEN, NODES, Cluster, run

WORKER = "work01"
ALL = (*NODES, WORKER)
POOL = "- {name: work, role: worker, count: 1, size: s-1vcpu-2gb}"
SIZES = ("s-1vcpu-2gb", "s-2vcpu-2gb")


def is_control_plane(node: str) -> bool:
    """Tell whether a node has etcd."""
    return node in NODES


def replace_at(cluster: Cluster, node: str) -> None:
    """Replace a node."""
    cluster.gen("replace", "--lab", "--yes", node, timeout=900)


def replacing(cluster: Cluster, node: str) -> subprocess.Popen[bytes]:
    """Begin to replace a node."""
    words = [GEN, "replace", "--lab", "--yes", node]
    return subprocess.Popen(words, cwd=cluster.directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def replaced(cluster: Cluster, node: str, chance: random.Random) -> None:
    """Replace a node."""
    replace_at(cluster, node)


def replaced_twice(cluster: Cluster, node: str, chance: random.Random) -> None:
    """Replace a node twice in a row."""
    for _ in range(2):
        replace_at(cluster, node)


def operator_killed(cluster: Cluster, node: str, chance: random.Random) -> None:
    """Kill the operator in the middle of a replacement, some times, and go on."""
    for _ in range(chance.randint(1, 3)):
        process = replacing(cluster, node)
        try:
            process.wait(timeout=chance.uniform(1, 40))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
    replace_at(cluster, node)


def rolled_out(cluster: Cluster, node: str, chance: random.Random) -> None:
    """Give the workers another size, and roll it out."""
    text = (cluster.directory / "cluster.yaml").read_text()
    size = next(one for one in SIZES if one not in text)
    described(cluster, rf"(name: work, .*size: )({'|'.join(SIZES)})", rf"\g<1>{size}")
    cluster.gen("rollout", "--lab", "--yes", timeout=900)


def workers_come_and_go(cluster: Cluster, node: str, chance: random.Random) -> None:
    """Describe one or two workers more, launch, describe them away, and roll it out."""
    count = chance.randint(2, 3)
    described(cluster, r"(name: work, role: worker, count: )\d", rf"\g<1>{count}")
    cluster.gen("launch", "--lab", "--yes", timeout=900)
    described(cluster, r"(name: work, role: worker, count: )\d", r"\g<1>1")
    cluster.gen("rollout", "--lab", "--yes", timeout=900)


def control_plane_grows_and_shrinks(cluster: Cluster, node: str, chance: random.Random) -> None:
    """Describe five control-plane nodes, launch, describe three again, and roll it out."""
    described(cluster, r"(name: node, role: control-plane, schedulable: true, count: )\d", r"\g<1>5")
    cluster.gen("launch", "--lab", "--yes", timeout=1500)
    described(cluster, r"(name: node, role: control-plane, schedulable: true, count: )\d", r"\g<1>3")
    cluster.gen("rollout", "--lab", "--yes", timeout=1500)


def described(cluster: Cluster, old: str, new: str) -> None:
    """Describe the cluster otherwise, render, and commit."""
    file = cluster.directory / "cluster.yaml"
    text, count = re.subn(old, new, file.read_text(), count=1)
    assert count, f"nothing to change: {old}"
    file.write_text(text)
    cluster.gen("render")
    commit(cluster)


def commit(cluster: Cluster) -> None:
    """Commit what is described and rendered."""
    run("git", "add", "-A", cwd=cluster.directory)
    run("git", "-c", "user.name=a", "-c", "user.email=a@localhost", "commit", "-qm", "chaos", cwd=cluster.directory)
