"""When the data of all members is gone no second cluster ever forms."""

from __future__ import annotations

from tests.e2e.harness import NODES, Cluster


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
