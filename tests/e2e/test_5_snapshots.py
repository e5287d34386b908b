"""What is kept outside of the nodes: taken, tried on this machine, and a dump brought back into the database."""

from __future__ import annotations

import json
import time

from tests.e2e.harness import NODES, Cluster, until

PRICES = (510_001, 510_002)
THINGS = 150


def prices(cluster: Cluster) -> set[int]:
    """Give the prices of the orders that the book has, as the database's pod is asked for them."""
    words = ("psql", "--username=postgres", "--dbname=local", "--tuples-only", "--command=SELECT price FROM orders")
    said = cluster.kubectl("exec", "--namespace=order-book", "postgres-0", "--container=postgres", "--", *words).stdout
    return {int(float(line)) for line in said.split()}


def test_a_snapshot_is_taken_and_holds(cluster: Cluster) -> None:
    """What is written before is what has to come back when all nodes are lost: the next tests do that."""
    cluster.kubectl("create", "namespace", "before", check=False)
    things = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"thing-{one:03}"}, "data": {"n": str(one)}}
        for one in range(THINGS)
    ]
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": things})
    cluster.create(NODES[0], text, "--namespace=before")
    cluster.kubectl("create", "serviceaccount", "someone", "-n", "before")
    token = cluster.kubectl("create", "token", "someone", "-n", "before", "--duration=1h").stdout
    (cluster.directory / "token").write_text(token)
    started = time.monotonic()
    taken = json.loads(cluster.gen("snapshot", "create", "--lab", "--json").stdout)
    cluster.times["a snapshot taken"] = time.monotonic() - started
    (cluster.directory / "things.before").write_text(json.dumps(everything(cluster)))
    started = time.monotonic()
    said = cluster.gen("snapshot", "verify", "--lab", taken["name"]).stdout
    cluster.times["a snapshot verified"] = time.monotonic() - started
    assert f"holds: revision {taken['revision']}" in said
    print(f"snapshot: {taken['bytes']:,} bytes sealed, {taken['keys']} keys")
    listed = json.loads(cluster.gen("snapshot", "list", "--lab", "--json").stdout)
    assert listed["doubtful"] == {}
    assert {one["name"]: bool(one["verified"]) for one in listed["snapshots"]}[taken["name"]]
    assert ", last verified " in cluster.gen("status", "--lab", check=False).stdout.replace("all; ", "all, ")


def everything(cluster: Cluster) -> dict[str, str]:
    """Give what a user has put into the cluster, and when each was made."""
    found = {}
    for kind in ("configmaps", "secrets", "serviceaccounts", "services", "deployments.apps"):
        for one in cluster.items(kind, "--all-namespaces"):
            meta = one["metadata"]
            found[f"{kind} {meta['namespace']}/{meta['name']}"] = f"{meta['uid']} {json.dumps(one.get('data'))}"  # type: ignore[index]
    return found


def test_nodes_keep_them_without_being_asked(cluster: Cluster) -> None:
    """The first is due as soon as a control plane has come up; that was minutes ago."""

    def both() -> bool:
        listed = json.loads(cluster.gen("snapshot", "list", "--lab", "--json").stdout)
        return {one["kind"] for one in listed["snapshots"]} == {"etcd", "database"}

    until("a snapshot and a dump", both, 400)


def test_a_dump_comes_back_and_what_came_after_it_is_gone(cluster: Cluster) -> None:
    cluster.order("sell", PRICES[0], 1)
    cluster.gen("snapshot", "create", "--lab", "--database")
    cluster.order("sell", PRICES[1], 1)
    assert set(PRICES) <= prices(cluster)
    started = time.monotonic()
    said = cluster.gen("restore", "--lab", "--database", "--yes", cluster.name).stderr
    cluster.times["a dump brought back"] = time.monotonic() - started
    assert "the database becomes what it was then" in said
    assert PRICES[0] in prices(cluster)
    assert PRICES[1] not in prices(cluster)
    until("the order book", lambda: cluster.order("sell", PRICES[1] + 1, 1), 120)
