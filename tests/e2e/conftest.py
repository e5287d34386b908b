"""Brings up one lab with one cluster for all end-to-end tests, watched while it boots, and takes it down again."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from generator.lab.state import OPERATOR_ADDRESS
from tests import images
from tests.datapath.workload import NAMESPACE
from tests.e2e import secrets
from tests.e2e.harness import NODES, Cluster, Sampler, connected_by_bridge, host_facts

CANARY = "canary-3f9c1d27a6be4c58b0e1d2c3f4a59687"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything here as end to end; without root and nspawn it can't run, and says so."""
    able = os.geteuid() == 0 and shutil.which("systemd-nspawn")
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.e2e)
            if not able:
                item.add_marker(pytest.mark.skip(reason="needs root and systemd-nspawn"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """Say of a test that failed how its cluster is then: what comes once in a hundred runs has to tell why."""
    report = yield
    cluster = getattr(item, "funcargs", {}).get("cluster")
    if report.failed and report.when == "call" and isinstance(cluster, Cluster):
        report.sections.append(("the cluster then", cluster.told()))
    return report


PROBE = """
apiVersion: v1
kind: ConfigMap
metadata: {name: probe, namespace: probe}
data:
  routes.yaml: |
    http:
      routers:
        api: {rule: Path(`/readyz`), service: api, entryPoints: [web]}
      services:
        api: {loadBalancer: {serversTransport: verified, servers: [{url: https://10.43.0.1}]}}
      serversTransports:
        verified: {rootCAs: [/var/run/secrets/kubernetes.io/serviceaccount/ca.crt]}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: probe, namespace: probe}
spec:
  selector: {matchLabels: {app: probe}}
  template:
    metadata: {labels: {app: probe}}
    spec:
      containers:
      - name: server
        image: SERVER
        args: [--entrypoints.web.address=:8000, --ping=true, --ping.entrypoint=web, --providers.file.directory=/routes]
        securityContext: {runAsUser: 65534, runAsNonRoot: true, allowPrivilegeEscalation: false}
        volumeMounts: [{name: routes, mountPath: /routes}]
      - name: client
        image: CLIENT
        command: [sleep, infinity]
        securityContext: {runAsUser: 65534, runAsNonRoot: true, allowPrivilegeEscalation: false}
      volumes: [{name: routes, configMap: {name: probe}}]
---
apiVersion: v1
kind: Service
metadata: {name: probe, namespace: probe}
spec: {selector: {app: probe}, ports: [{port: 80, targetPort: 8000}]}
"""


@pytest.fixture(scope="session")
def host_before(directory: Path) -> dict[str, list[str]]:
    """Describe the host before the lab is there."""
    return host_facts(Cluster(directory).lab)


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
    cluster.gen("init", "orderbook", "--release", "k8s-1.36-source", "--api", str(OPERATOR_ADDRESS))
    connected_by_bridge(directory)

    def timed(stage: str, *argv: str, timeout: float = 1800) -> None:
        started = time.monotonic()
        done = cluster.gen(*argv, timeout=timeout)
        cluster.times[stage] = time.monotonic() - started
        (directory / f"{stage}.log").write_text(done.stdout + done.stderr)

    timed("build", "lab", "build")
    # What measures the datapath comes from the lab's registries and is served by its ingress.
    images.bring(directory, (images.probe(images.Maker.default()),))
    file = directory / "cluster.yaml"
    file.write_text(file.read_text().replace("namespaces: []", f"namespaces: [{NAMESPACE}]"))
    timed("check", "check")
    timed("render", "render")
    try:
        timed("up", "lab", "up")
        with Sampler(cluster.lab) as sampler:
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


@pytest.fixture(scope="session")
def pods(cluster: Cluster) -> dict[str, dict[str, str]]:
    """Run a server and a client in a pod on each node; gives name and address by node."""
    release = yaml.safe_load((cluster.directory / "releases" / "k8s-1.36-source.yaml").read_text())
    images = {image["name"]: f"{image['reference']}@{image['digest']}" for image in release["images"]}
    cluster.kubectl("create", "namespace", "probe", check=False)
    manifest = PROBE.replace("SERVER", images["traefik"]).replace("CLIENT", images["postgres"])
    for node in NODES:
        cluster.on(node, "sh", "-c", f"cat > /tmp/probe.yaml <<'EOF'\n{manifest}\nEOF")
    cluster.kubectl("apply", "--server-side", "-f", "/tmp/probe.yaml")
    cluster.kubectl("rollout", "status", "daemonset/probe", "-n", "probe", "--timeout=150s")
    return {
        str(pod["spec"]["nodeName"]): {"name": str(pod["metadata"]["name"]), "ip": str(pod["status"]["podIP"])}  # type: ignore[index]
        for pod in cluster.items("pods", "-n", "probe")
    }


def in_pod(cluster: Cluster, pod: str, script: str, check: bool = True) -> str:
    """Run a shell script inside the client of a pod."""
    return cluster.kubectl("exec", "-n", "probe", pod, "-c", "client", "--", "bash", "-c", script, check=check).stdout
