"""Nobody logs into a node: there is no daemon to ask, no password to guess, no key to hold, no agent to speak to."""

from __future__ import annotations

import pytest

from tests.e2e.harness import NODES, Cluster

DAEMONS = {"sshd", "sshd-session", "droplet-agent", "do-agent", "dropbear", "telnetd"}


@pytest.mark.parametrize("node", NODES)
def test_no_daemon_waits_for_a_login(cluster: Cluster, node: str) -> None:
    running = set(cluster.on(node, "ps", "-e", "-o", "comm=").stdout.split())
    assert {"systemd", "kubelet"} <= running
    assert not running & DAEMONS
    for unit in ("ssh.service", "ssh.socket"):
        assert cluster.on(node, "systemctl", "is-enabled", unit, check=False).stdout.strip() == "masked"
    assert not cluster.on(node, "ss", "-Hlnt", "sport", "=", ":22").stdout


@pytest.mark.parametrize("node", NODES)
def test_no_account_has_a_password_or_a_key(cluster: Cluster, node: str) -> None:
    accounts = [line.split(":") for line in cluster.on(node, "getent", "shadow").stdout.splitlines()]
    assert {"root", "etcd"} <= {account[0] for account in accounts}
    assert [name for name, word, *_ in accounts if not word.startswith(("!", "*"))] == []
    # cloud-init makes root's file, and has nothing to write into it
    places = ("/root", "/home", "/etc/ssh")
    assert cluster.on(node, "find", *places, "-name", "authorized_keys*", "-size", "+0").stdout == ""
