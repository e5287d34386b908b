"""What befalls a cluster from outside; whatever a person has to do about it is done as well."""

from __future__ import annotations

import random
import time

from tests.chaos.bucket import Bucket
from tests.chaos.steps import is_control_plane, replace_at, replacing
from tests.e2e.harness import Cluster

CUT = """
table inet hardway_test_cut {
  chain in { type filter hook input priority -50; udp dport 51820 drop; }
  chain out { type filter hook output priority -50; udp dport 51820 drop; }
}
"""


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
    units = ["kubelet", "containerd", "hardway-balancer"]
    if is_control_plane(node):
        units += ["etcd", "kube-apiserver", "kube-controller-manager"]
    cluster.on(node, "systemctl", "kill", "--signal=KILL", f"{chance.choice(units)}.service")


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


def provider_ails(cluster: Cluster, node: str, chance: random.Random) -> None:
    """Let the provider's API lag and fail while a machine is lost, and launch again."""
    cluster.gen("lab", "unkind", "read_lag=15", "list_lag=30", "boot_lag=10", "network_lag=10")
    cluster.gen("lab", "fail-creates", str(chance.randint(1, 2)))
    lost(cluster, node, chance)
    cluster.gen("lab", "unkind", "read_lag=3", "list_lag=4", "boot_lag=2", "network_lag=3")


def roster_put_back(cluster: Cluster, node: str, chance: random.Random) -> None:
    """Publish an older roster, as who has the bucket's key can, cut a machine's power, and launch again."""
    bucket = Bucket(cluster)
    earlier = bucket.roster
    replace_at(cluster, node)
    bucket.publish(earlier)
    cluster.gen("lab", "power-cycle", node)
    time.sleep(chance.uniform(0, 40))
    cluster.gen("launch", "--lab", "--yes", timeout=900)
    assert bucket.roster != earlier, "the older roster is still the published one"


def roster_forged(cluster: Cluster, node: str, chance: random.Random) -> None:
    """Publish a roster that somebody else signed, cut a machine's power, and put the real one back."""
    bucket = Bucket(cluster)
    real = bucket.roster
    bucket.publish(bucket.forged())
    cluster.gen("lab", "power-cycle", node)
    time.sleep(chance.uniform(0, 40))
    told = cluster.gen("launch", "--lab", "--yes", check=False, timeout=900)
    assert told.returncode == 1, "a roster that somebody else signed was taken"
    assert "sign" in told.stderr, told.stderr
    bucket.publish(real)


def power_cut_while_it_joins(cluster: Cluster, node: str, chance: random.Random) -> None:
    """Cut the power of the new machine while it is replaced."""
    process = replacing(cluster, node)
    time.sleep(chance.uniform(15, 45))
    cluster.gen("lab", "power-cycle", node, check=False)
    process.wait(timeout=900)
    replace_at(cluster, node)
