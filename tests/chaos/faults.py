"""What can happen to a cluster, a row each: what is done, and what heals it; afterwards the invariants are awaited."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.e2e.harness import GEN, NODES, Cluster

CUT = """
table inet hardway_test_cut {
  chain in { type filter hook input priority -50; udp dport 51820 drop; }
  chain out { type filter hook output priority -50; udp dport 51820 drop; }
}
"""


@dataclass(frozen=True)
class Fault:
    """One kind of step; `victims` tells whether it is about a node, `loses` whether that node's own disk goes."""

    name: str
    do: Callable[[Cluster, str, random.Random], None]
    loses: bool = False


def power_cut(cluster: Cluster, node: str, chance: random.Random) -> None:
    """Cut a machine's power and switch it on again."""
    cluster.gen("lab", "power-cycle", node)


def lost(cluster: Cluster, node: str, chance: random.Random) -> None:
    """Lose a machine for good, and launch again."""
    cluster.gen("lab", "droplet", "delete", node)
    time.sleep(chance.uniform(0, 20))
    cluster.gen("launch", "--lab", "--yes", timeout=900)


def killed(cluster: Cluster, node: str, chance: random.Random) -> None:
    """Kill what runs on a node, whatever it is; systemd starts it again."""
    unit = chance.choice(
        ["etcd", "kube-apiserver", "kubelet", "containerd", "hardway-balancer", "kube-controller-manager"]
    )
    cluster.on(node, "systemctl", "kill", "--signal=KILL", f"{unit}.service")


def cut_off(cluster: Cluster, node: str, chance: random.Random) -> None:
    """Cut a node off from all others, and bring it back."""
    cluster.on(node, "sh", "-c", f"cat > /run/cut.nft <<'END'\n{CUT}END\nnft --file /run/cut.nft")
    time.sleep(chance.uniform(5, 120))
    cluster.on(node, "nft", "delete", "table", "inet", "hardway_test_cut")


def run_full(cluster: Cluster, node: str, chance: random.Random) -> None:
    """Fill a node's file system for what runs, as far as one file may, and make room again."""
    cluster.on(node, "sh", "-c", "head -c 512M /dev/zero > /run/full || true", check=False)
    time.sleep(chance.uniform(5, 30))
    cluster.on(node, "rm", "-f", "/run/full")


def outside_away(cluster: Cluster, node: str, chance: random.Random) -> None:
    """Take Spaces or the provider's API away for a while, and cut a machine's power meanwhile."""
    service = chance.choice(["spaces", "api", "registry", "downloads"])
    cluster.gen("lab", "stop", service)
    cluster.gen("lab", "power-cycle", node)
    time.sleep(chance.uniform(10, 60))
    cluster.gen("lab", "start", service)


def replaced(cluster: Cluster, node: str, chance: random.Random) -> None:
    """Replace a node."""
    cluster.gen("replace", "--lab", "--yes", node, timeout=900)


def replaced_twice(cluster: Cluster, node: str, chance: random.Random) -> None:
    """Replace a node twice in a row."""
    for _ in range(2):
        replaced(cluster, node, chance)


def operator_killed(cluster: Cluster, node: str, chance: random.Random) -> None:
    """Kill the operator in the middle of a replacement, some times, and go on."""
    for _ in range(chance.randint(1, 3)):
        words = [GEN, "replace", "--lab", "--yes", node]
        process = subprocess.Popen(words, cwd=cluster.directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(timeout=chance.uniform(1, 40))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
    replaced(cluster, node, chance)


def power_cut_while_it_joins(cluster: Cluster, node: str, chance: random.Random) -> None:
    """Cut the power of the new machine while it is replaced."""
    process = subprocess.Popen(
        [GEN, "replace", "--lab", "--yes", node],
        cwd=cluster.directory,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    time.sleep(chance.uniform(15, 45))
    cluster.gen("lab", "power-cycle", node, check=False)
    process.wait(timeout=900)
    cluster.gen("replace", "--lab", "--yes", node, timeout=900)


FAULTS = (
    Fault("power cut", power_cut),
    Fault("machine lost", lost, loses=True),
    Fault("process killed", killed),
    Fault("cut off", cut_off),
    Fault("no room in /run", run_full),
    Fault("outside away", outside_away),
    Fault("replaced", replaced, loses=True),
    Fault("replaced twice", replaced_twice, loses=True),
    Fault("operator killed", operator_killed, loses=True),
    Fault("power cut while it joins", power_cut_while_it_joins, loses=True),
)


def walk(seed: int, keeps: str) -> Callable[[], tuple[Fault, str, random.Random]]:
    """Give what chooses the next step: the same seed, the same walk; the database's own node is never lost."""
    chance = random.Random(seed)

    def step() -> tuple[Fault, str, random.Random]:
        fault = chance.choice(FAULTS)
        node = chance.choice([node for node in NODES if node != keeps or not fault.loses])
        return fault, node, random.Random(chance.random())

    return step
