"""When the data of all members is gone no second cluster ever forms, and a snapshot brings the first one back."""

from __future__ import annotations

import json
import time

from tests.e2e.harness import NODES, Cluster, until
from tests.e2e.test_5_snapshots import THINGS, everything, prices


def test_no_second_cluster_forms_when_all_data_is_gone(cluster: Cluster) -> None:
    for node in NODES:  # masked, or the units that want it would start it at once
        cluster.on(node, "systemctl", "mask", "--runtime", "etcd.service")
        cluster.on(node, "systemctl", "kill", "--signal=KILL", "kube-apiserver.service", "etcd.service")
        cluster.on(node, "systemctl", "stop", "kube-apiserver.service", "etcd.service")
    for node in NODES:
        cluster.on(node, "sh", "-c", "rm -rf /var/lib/etcd/member")
    for node in NODES:
        cluster.on(node, "systemctl", "unmask", "--runtime", "etcd.service")
        cluster.on(node, "systemctl", "start", "--no-block", "etcd.service", "kube-apiserver.service")
    done = cluster.gen("launch", "--lab", "--yes", "--timeout", "60s", check=False, timeout=400)
    said = done.stdout + done.stderr
    assert done.returncode == 1, said
    assert "etcd" in said
    assert "no second cluster is formed" in said, said
    for node in NODES:
        assert cluster.on(node, "test", "-e", "/var/lib/etcd/member", check=False).returncode != 0
        assert cluster.on(node, "systemctl", "is-active", "etcd", check=False).stdout.strip() != "active"


def test_a_snapshot_brings_everything_back(cluster: Cluster) -> None:
    """The droplets are there, their etcd is not: they are made anew, and find what was written before."""
    before = json.loads((cluster.directory / "things.before").read_text())
    name = json.loads(cluster.gen("snapshot", "list", "--lab", "--json").stdout)["snapshots"]
    verified = max(one["name"] for one in name if one["kind"] == "etcd" and one["verified"])
    asked = cluster.gen("restore", "--lab", check=False)
    assert asked.returncode == 1
    assert f"`--yes {cluster.name}` goes on without asking" in asked.stderr
    started = time.monotonic()
    said = cluster.gen("restore", "--lab", "--yes", cluster.name, timeout=900).stderr
    cluster.times["all control-plane nodes restored"] = time.monotonic() - started
    assert f"{verified}: revision " in said
    assert "what was written after that is gone: " in said
    print(f"restored in {cluster.times['all control-plane nodes restored']:.0f} s")
    assert cluster.ready_nodes() == set(NODES)
    now = everything(cluster)
    changing = ("extension-apiserver-authentication", "hardway/request-", "kube-system/hardway ")
    lost = {key for key, value in before.items() if now.get(key) != value and not any(one in key for one in changing)}
    assert lost == set()
    assert sum(key.startswith("configmaps before/thing-") for key in now) == THINGS
    # Tokens of before are those of the same signer, and of the same account.
    token = (cluster.directory / "token").read_text().strip()
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
    status = json.loads(cluster.create(NODES[1], json.dumps(review), "--output=json"))["status"]
    assert status["user"]["username"] == "system:serviceaccount:before:someone"
    # The database lies on its volume, which no restore touches.
    assert prices(cluster)
    until("the order book", lambda: cluster.order("sell", 520_001, 1), 120)
    voters = {(member["name"], member.get("isLearner", False)) for member in cluster.members()}
    assert voters == {(node, False) for node in NODES}
    until("a status without complaint", lambda: cluster.gen("status", "--lab", check=False).returncode == 0, 120)
    assert cluster.gen("lab", "spaces", "list").stdout.count("/restore/") == 0
