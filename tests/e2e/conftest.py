"""Brings up one lab with one cluster for all end-to-end tests, watched while it boots, and takes it down again."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import secrets
from tests.e2e.harness import NODES, Cluster, Sampler, host_facts

CANARY = "canary-3f9c1d27a6be4c58b0e1d2c3f4a59687"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything here as end to end; without root and nspawn it can't run, and says so."""
    able = os.geteuid() == 0 and shutil.which("systemd-nspawn")
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.e2e)
            if not able:
                item.add_marker(pytest.mark.skip(reason="needs root and systemd-nspawn"))


@pytest.fixture(scope="session")
def host_before() -> dict[str, list[str]]:
    """Describe the host before the lab is there."""
    return host_facts()


@pytest.fixture(scope="session")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the directory in which the cluster is described."""
    return tmp_path_factory.mktemp("orderbook")


@pytest.fixture(scope="session")
def cluster(directory: Path, host_before: dict[str, list[str]]) -> Iterator[Cluster]:
    """Do what a person does: init, build, check, render, lab up, launch.

    With `HARDWAY_CLUSTER=DIRECTORY` the tests look at a cluster that is there already, and leave it there.
    """
    if there := os.environ.get("HARDWAY_CLUSTER"):
        yield Cluster(Path(there))
        return
    cluster = Cluster(directory)
    cluster.gen("init", "orderbook", "--release", "k8s-1.36-source")

    def timed(stage: str, *argv: str, timeout: float = 1800) -> None:
        started = time.monotonic()
        done = cluster.gen(*argv, timeout=timeout)
        cluster.times[stage] = time.monotonic() - started
        (directory / f"{stage}.log").write_text(done.stdout + done.stderr)

    timed("build", "lab", "build")
    timed("check", "check")
    timed("render", "render")
    try:
        timed("up", "lab", "up")
        with Sampler() as sampler:
            timed("launch", "launch", "--lab", "--yes", "--url-lifetime", "5m", timeout=900)
        cluster.sampler = sampler  # type: ignore[attr-defined]
        print("stages:", {stage: round(seconds, 1) for stage, seconds in cluster.times.items()})
        yield cluster
    finally:
        cluster.gen("lab", "down", check=False)


@pytest.fixture(scope="session")
def known_secrets(cluster: Cluster) -> dict[str, set[bytes]]:
    """Read every secret there is: the key store, each launch's unsealing key and each URL's signature."""
    found = secrets.of_store(cluster.directory / "keys" / cluster.name)
    for node in NODES:
        raw = cluster.on(node, "cat", "/var/lib/cloud/instance/user-data.txt").stdout
        [text] = re.findall(r"^\{\n.*\"bundle_key\".*?^\}$", raw, flags=re.MULTILINE | re.DOTALL)
        launch = json.loads(text[text.rindex("{") :])
        found[f"unsealing key of {node}"] = secrets.of_text(launch["bundle_key"])
        for name, value in launch.items():
            for signature in re.findall(r"X-Amz-Signature=([0-9a-f]{64})", str(value)):
                found[f"signature of {name} of {node}"] = secrets.of_text(signature)
    return found
