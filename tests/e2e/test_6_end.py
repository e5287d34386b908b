"""Destroy removes all it made; the lab leaves the host as it was, also after a crash."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

from tests.e2e.harness import NODES, Cluster, host_facts, processes_of, until


def ended(pid: int) -> bool:
    """Tell whether a process has ended; the host's first process may take its time to notice."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_destroy_leaves_nothing_in_the_account(cluster: Cluster) -> None:
    wrong = cluster.gen("destroy", "--lab", "--yes", "another", check=False)
    assert wrong.returncode != 0
    cluster.gen("destroy", "--lab", "--yes", cluster.name, timeout=400)
    left = json.loads(cluster.gen("lab", "status", "--json").stdout)
    assert left["droplets"] == []
    kept = cluster.gen("lab", "spaces", "list").stdout.split()
    assert [one for one in kept if "-state/" not in one] == [], "snapshots alone stay"
    cluster.gen("snapshot", "prune", "--lab", "--yes", "--all", cluster.name)
    assert cluster.gen("lab", "spaces", "list").stdout.strip() == ""
    again = cluster.gen("destroy", "--lab", "--yes", cluster.name).stderr
    assert again.count("stays with its data, and the next launch of this cluster takes it up again") == len(NODES)
    cluster.gen("destroy", "--lab", "--yes", cluster.name, "--volumes", cluster.name)
    assert "stays with its data" not in cluster.gen("destroy", "--lab", "--yes", cluster.name).stderr


def test_down_leaves_the_host_as_it_was(cluster: Cluster, host_before: dict[str, list[str]]) -> None:
    cluster.gen("lab", "down")
    assert host_facts(cluster.lab) == host_before
    assert list(processes_of(cluster.lab)) == []


def test_down_after_a_crash_leaves_the_host_as_it_was(cluster: Cluster, host_before: dict[str, list[str]]) -> None:
    cluster.gen("lab", "up")
    cluster.gen("lab", "droplet", "create", "doomed")
    daemon = json.loads(cluster.gen("lab", "status", "--json").stdout)["daemon"]
    os.kill(int(daemon["pid"]), signal.SIGKILL)
    cluster.gen("lab", "down")
    assert host_facts(cluster.lab) == host_before
    assert list(processes_of(cluster.lab)) == []
    until("the daemon is no more", lambda: ended(int(daemon["pid"])), 10)
