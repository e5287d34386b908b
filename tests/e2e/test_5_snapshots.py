"""What is kept outside of the nodes: taken, tried on this machine, and a dump brought back into the database."""

from __future__ import annotations

import json
import time

from tests.e2e.harness import NODES, Cluster, until

PRICES = (510_001, 510_002)
QUOTA = "4294967296"
# Fills with history what a quota leaves: one key, written again and again.
FILL = """
set -eu
pki=/etc/kubernetes/pki
ask() { etcdctl --cacert=$pki/etcd-ca.crt --cert=$pki/apiserver-etcd-client.crt \\
    --key=$pki/apiserver-etcd-client.key --endpoints=https://127.0.0.1:2379 "$@"; }
for number in $(seq 100); do
    head -c 700000 /dev/urandom | base64 -w 0 | ask put hardway/test-fill >/dev/null 2>/tmp/said || break
done
cat /tmp/said
ask del hardway/test-fill
"""
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


def test_a_full_etcd_is_opened_again_and_is_told_of_meanwhile(cluster: Cluster) -> None:
    own = json.loads(cluster.etcdctl(NODES[0], "endpoint", "status", "-w", "json"))[0]["Status"]
    limited(cluster, QUOTA, str(int(own["dbSize"]) + (16 << 20)))
    try:
        until("a full etcd", lambda: "space exceeded" in cluster.on(NODES[0], "sh", "-c", FILL).stdout, 60)
        made = cluster.kubectl("create", "configmap", "refused", check=False)
        assert "database space exceeded" in made.stderr
        until("status tells", lambda: "NOSPACE" in cluster.gen("status", "--lab", check=False).stdout, 60)
        started = time.monotonic()
        for node in NODES:  # as their timers do every two minutes
            cluster.on(node, "systemctl", "start", "hardway-upkeep", timeout=300)
        cluster.times["a full etcd opened again"] = time.monotonic() - started
        cluster.kubectl("create", "configmap", "taken")
        until("status is well", lambda: "NOSPACE" not in cluster.gen("status", "--lab", check=False).stdout, 60)
    finally:
        limited(cluster, str(int(own["dbSize"]) + (16 << 20)), QUOTA)
    until("all ready", lambda: cluster.ready_nodes() == set(NODES), 120)


def limited(cluster: Cluster, before: str, after: str) -> None:
    """Give etcd another quota, one member after the other."""
    change = f"s/quota-backend-bytes={before}/quota-backend-bytes={after}/"
    for node in NODES:
        cluster.on(node, "sed", "-i", change, "/etc/systemd/system/etcd.service")
        cluster.on(node, "systemctl", "daemon-reload")
        cluster.on(node, "systemctl", "restart", "etcd", timeout=180)
        until(f"the API of {node}", lambda node=node: healthy(cluster, node), 120)  # type: ignore[misc]


def healthy(cluster: Cluster, node: str) -> bool:
    """Tell whether a node's member and its API server answer."""
    words = ("kubectl", "--kubeconfig=/etc/kubernetes/bootstrap.conf", "get", "--raw=/readyz")
    return cluster.on(node, *words, check=False).stdout == "ok" and bool(cluster.etcdctl(node, "endpoint", "health"))
