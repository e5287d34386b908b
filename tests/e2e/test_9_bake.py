"""A node that is made of a baked image fetches no file and no image, believes none of the files, and is itself."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from generator.lab.machines import snapshots
from tests.e2e.harness import Cluster, connected_by_bridge

pytestmark = pytest.mark.long

STORE = ".digitaloceanspaces.com"
FETCHED = "opt/hardway/installed"


class Single(Cluster):
    """One node, and what every droplet has fetched by the lab's own account of it."""

    def launch(self) -> dict[str, Any]:
        """Launch, and give what the verb says."""
        self.gen("render")
        found: dict[str, Any] = json.loads(self.gen("launch", "--lab", "--yes", "--uncommitted", "--json").stdout)
        return found

    def named(self, image: str) -> None:
        """Have the description name an image."""
        file = self.directory / "cluster.yaml"
        file.write_text(re.sub(r"^image: \S+", f"image: {image}", file.read_text(), flags=re.MULTILINE))

    def fetched(self, client: str) -> list[str]:
        """List what somebody asked download hosts and registries for, but for the store."""
        lines = (self.lab.directory / "logs" / "front.jsonl").read_text().splitlines()
        asked = [one for one in map(json.loads, lines) if one["client"] == client]
        assert asked, "the store is asked in any case"
        return [f"{one['host']}{one['path']}" for one in asked if not one["host"].endswith(STORE)]

    def anew(self, meanwhile: Callable[[], None]) -> str:
        """Destroy the cluster, do something, and launch it again; give the droplet's address."""
        self.gen("destroy", "--lab", "--yes", "orderbook")
        meanwhile()
        logs = self.lab.directory / "logs" / "front.jsonl"
        logs.write_text("")
        self.launch()
        return self.address("node01")

    def own(self) -> dict[str, str]:
        """Read what no two machines share."""
        keys = "cat /etc/machine-id; cat /etc/ssh/ssh_host_ed25519_key.pub; cat /var/lib/cloud/data/instance-id"
        words = self.on("node01", "sh", "-c", keys, check=False).stdout.splitlines()
        return dict(zip(("machine", "ssh", "instance"), words, strict=True))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Single]:
    """Describe one node in a lab of its own."""
    made = Single(tmp_path_factory.mktemp("baked"))
    words = ("--release", "k8s-1.36-source", "--api", "28.51.100.7", "--template", "single")
    made.gen("init", "orderbook", *words)
    connected_by_bridge(made.directory)
    made.gen("lab", "build", timeout=3600)
    made.gen("render")
    try:
        made.gen("lab", "up", "--kind")
        yield made
    finally:
        made.gen("lab", "down", check=False)


@pytest.fixture(scope="module")
def baked(cluster: Single) -> dict[str, Any]:
    """Bake, and have the description name what came of it."""
    told: dict[str, Any] = json.loads(cluster.gen("bake", "--lab", "--yes", "--json").stdout)
    cluster.named(told["image"])
    return told


def disk(cluster: Single, baked: dict[str, Any]) -> Path:
    return snapshots.place(cluster.lab, int(baked["image"].partition("@")[2])) / "upper"


def test_the_snapshot_has_what_was_fetched_and_nothing_of_its_droplet(cluster: Single, baked: dict[str, Any]) -> None:
    upper = disk(cluster, baked)
    parts = list((upper / FETCHED).iterdir())
    assert len(parts) == baked["files"]
    assert {path.suffix for path in parts} == {".part"}
    for place in ("etc/hardway", "var/lib/hardway", "root/.ssh", "usr/local/bin/containerd", "opt/cni/bin/bridge"):
        assert not (upper / place).is_file()
        assert not [path for path in (upper / place).rglob("*") if path.is_file()], place
    assert not [path for path in (upper / "var/lib/cloud").rglob("*") if path.is_file()]
    assert not list((upper / "etc/ssh").glob("ssh_host_*_key"))
    plain = [path for path in upper.rglob("*") if path.is_file() and not path.is_symlink() and path not in parts]
    assert not [path for path in plain if b"X-Amz-Signature" in path.read_bytes()]
    assert json.loads(cluster.gen("lab", "status", "--json").stdout)["droplets"] == []


def test_a_node_fetches_no_file_and_no_image(cluster: Single, baked: dict[str, Any]) -> None:
    cluster.launch()
    assert cluster.fetched(cluster.address("node01")) == []
    assert cluster.ready_nodes() == {"node01"}
    cluster.order("buy", 101, 7)
    assert "101" in cluster.book("/ob")


def test_what_is_there_and_wrong_or_missing_is_fetched_and_two_nodes_of_it_share_nothing(
    cluster: Single, baked: dict[str, Any]
) -> None:
    first = cluster.own()
    kubelet, runc = (next((disk(cluster, baked) / FETCHED).glob(f"{name}-*")) for name in ("kubelet", "runc"))

    def spoil() -> None:
        kubelet.write_bytes(b"#!/bin/sh\nexit 0\n")
        kubelet.with_suffix("").touch()  # as if it had been installed, and was known to be
        (disk(cluster, baked) / "usr/local/bin/kubelet").write_bytes(kubelet.read_bytes())
        runc.unlink()

    asked = cluster.fetched(cluster.anew(spoil))
    assert {one.rpartition("/")[2].partition(".")[0] for one in asked} == {"kubelet", "runc"}
    assert cluster.ready_nodes() == {"node01"}
    second = cluster.own()
    assert first.keys() == second.keys()
    assert not set(first.values()) & set(second.values())


def test_the_snapshot_outlives_the_cluster_until_it_is_pruned(cluster: Single, baked: dict[str, Any]) -> None:
    cluster.gen("destroy", "--lab", "--yes", "orderbook")
    assert json.loads(cluster.gen("bake", "--lab", "--yes", "--json").stdout)["made"] is False
    cluster.named("debian-13-x64")
    told = json.loads(cluster.gen("bake", "--lab", "--prune", "--yes", "--json").stdout)
    assert told["deleted"] == [baked["image"]]
    assert not disk(cluster, baked).exists()
