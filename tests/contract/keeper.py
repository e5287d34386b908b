"""Runs a real etcd beside the real agent of a control-plane node, which keeps snapshots of it as it does on a node."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from generator.files import resource
from generator.lab.content.cache import Cache
from generator.pki.bundle import node_files
from generator.pki.store import KeyStore
from generator.plan.project import Project
from generator.release import lock_file
from tests.contract import binaries

sys.path.insert(0, str(resource("userdata") / "agent/usr/local/lib"))

from hardway import bucket, dump, etcdctl, here, snapshot, upkeep  # noqa: F401 - what tests ask of the agent

TOOLS = ("etcd", "etcdctl", "etcdutl")


def tools(directory: Path) -> Path:
    """Give a directory with etcd, its tools and age, as a node has them."""
    place = directory / "bin"
    place.mkdir()
    for name, path in binaries.find(*TOOLS).items():
        # A blob of the cache is nobody's to be run.
        (place / name).write_bytes(path.read_bytes())
        (place / name).chmod(0o755)
    package = next(one for one in lock_file.load("k8s-1.36", Path()).packages if one.name == "age")
    blob = Cache.default().blob(package.sha256)
    if not blob.exists():
        message = "the package `age` is not there; `gen lab build` brings it"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    subprocess.run(["dpkg-deb", "-x", str(blob), str(directory / "age")], check=True)
    (place / "age").symlink_to(directory / "age/usr/bin/age")
    return place


class Keeper:
    """One control-plane node: its etcd, its agent, and what its bundle and its roster say."""

    def __init__(self, root: Path, place: Path, port: int) -> None:
        self.root, self.place, self.port = root, place, port

    def etcdctl(self, *words: str) -> str:
        """Ask etcd, as the API server does."""
        return etcdctl.control((f"https://127.0.0.1:{self.port}",), *words)


@contextmanager
def keeping(directory: Path, project: Project, place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Keeper]:
    """Be the first control-plane node of a project, with an etcd of its own that is empty at first."""
    root = directory / "node"
    root.mkdir()
    plan = project.plan
    store = KeyStore.open(project.keys_path, plan, project.inventory)
    node = plan.control_planes[0]
    monkeypatch.setattr(here, "ROOT", root)
    monkeypatch.setenv("PATH", f"{place}:{os.environ['PATH']}")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    for file in node_files(plan, node, store):
        here.write(file.path, file.content, file.mode)
    facts: dict[str, Any] = {"cluster_id": plan.cluster_id, "node": node.name}
    here.write(here.FACTS, json.dumps(facts))
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        port, peer = one.getsockname()[1], other.getsockname()[1]
    monkeypatch.setattr(etcdctl, "OWN", (f"https://127.0.0.1:{port}",))
    pki = root / "etc/etcd/pki"
    url = f"https://127.0.0.1:{port}"
    command = [
        *(str(place / "etcd"), f"--data-dir={directory}/data", "--unsafe-no-fsync", "--log-level=error"),
        *(f"--listen-client-urls={url}", f"--advertise-client-urls={url}"),
        *(f"--listen-peer-urls=http://127.0.0.1:{peer}", f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}"),
        *(f"--initial-cluster=default=http://127.0.0.1:{peer}", "--client-cert-auth=true"),
        *(f"--cert-file={pki}/server.crt", f"--key-file={pki}/server.key", f"--trusted-ca-file={pki}/ca.crt"),
        "--quota-backend-bytes=8388608",
    ]
    with (directory / "etcd.log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            made = Keeper(root, place, port)
            for _ in range(100):
                try:
                    made.etcdctl("endpoint", "status")
                    break
                except here.Failure:
                    time.sleep(0.1)
            yield made
        finally:
            process.kill()
