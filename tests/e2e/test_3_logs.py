"""Nobody logs in, and yet a node's journal can be read: by the administrator, through the API."""

from __future__ import annotations

import re

from tests.e2e.harness import NODES, Cluster


def test_the_journal_of_a_unit_is_read(cluster: Cluster) -> None:
    for node in NODES:
        lines = cluster.gen("logs", "--lab", node, "kubelet", "--lines", "20").stdout.splitlines()
        assert len(lines) == 20
        assert all(f" {node} kubelet[" in line or "systemd[1]" in line or line.startswith(" ") for line in lines), lines


def test_all_units_of_the_document_are_read_by_time(cluster: Cluster) -> None:
    lines = cluster.gen("logs", "--lab", "node01", "--lines", "5000").stdout.splitlines()
    assert {"etcd", "kubelet", "containerd"} <= {line.split("[")[0].rpartition(" ")[2] for line in lines}
    times = [line[:22] for line in lines if re.match(r"[A-Z][a-z]{2} [ 0-9][0-9] [0-9:]{8}\.", line)]
    assert len(times) > len(lines) / 2, "most lines begin with their time; a message of several lines has it once"
    assert times == sorted(times)


def test_what_is_wrong_is_a_sentence(cluster: Cluster) -> None:
    for words, said in (
        (("node09",), "error: node09: no such node\n  hint: the nodes are node01, node02, node03"),
        (("node01", "../etc"), "error: ../etc: can't be a unit's name"),
        (("node01", "of-nobody"), "error: node01: nothing was logged\n  hint: units of the document are "),
    ):
        done = cluster.gen("logs", "--lab", *words, check=False)
        assert (done.returncode, said in done.stderr) == (1, True), done.stderr


def test_no_account_of_an_addon_may(cluster: Cluster) -> None:
    for account in ("order-book:default", "ingress:traefik", "kube-system:coredns"):
        may = cluster.kubectl("auth", "can-i", "get", "nodes/log", f"--as=system:serviceaccount:{account}", check=False)
        assert may.stdout.strip() == "no"
