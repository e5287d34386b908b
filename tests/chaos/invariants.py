"""What holds of a cluster after whatever has happened to it, once it had time to heal."""

from __future__ import annotations

import json

from tests.chaos.steps import ALL
from tests.e2e.harness import NODES, Cluster, until

PATIENCE_SECONDS = 300


def hold(cluster: Cluster, generation: int) -> int:
    """Await the invariants; give the roster's generation, which never goes back.

    Raises:
        AssertionError: one does not hold in time.
    """
    until("every node Ready", lambda: cluster.ready_nodes() == set(ALL), PATIENCE_SECONDS)
    until("one etcd of all", lambda: one_etcd(cluster), PATIENCE_SECONDS)
    until("no node cordoned, no mark", lambda: nothing_is_left(cluster), 60)
    found = until("status whole", lambda: status(cluster), PATIENCE_SECONDS)
    assert isinstance(found, dict)
    now = int(found["roster_generation"])
    assert now >= generation, f"the roster went back from {generation} to {now}"
    droplets = [node["droplet"] for node in found["nodes"]]
    assert len(set(droplets)) == len(ALL), droplets
    return now


def one_etcd(cluster: Cluster) -> bool:
    """Tell whether all members agree on one cluster of all nodes, and each of them votes."""
    views = [json.loads(cluster.etcdctl(node, "member", "list", "-w", "json")) for node in NODES]
    clusters = {view["header"]["cluster_id"] for view in views}
    members = [sorted((one["name"], bool(one.get("isLearner"))) for one in view["members"]) for view in views]
    return len(clusters) == 1 and all(found == [(node, False) for node in NODES] for found in members)


def nothing_is_left(cluster: Cluster) -> bool:
    """Tell whether no node is cordoned and no replacement is marked."""
    cordoned = [node for node in cluster.items("nodes") if node["spec"].get("unschedulable")]  # type: ignore[attr-defined]
    maps = [str(one["metadata"]["name"]) for one in cluster.items("configmaps", "-n", "hardway")]  # type: ignore[index]
    return not cordoned and not [name for name in maps if name.startswith("replacement-")]


def status(cluster: Cluster) -> dict[str, object]:
    """Give what `gen status` says, if it is content; nothing where it isn't."""
    done = cluster.gen("status", "--lab", "--json", check=False)
    return dict(json.loads(done.stdout)) if done.returncode == 0 else {}
