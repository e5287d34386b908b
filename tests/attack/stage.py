"""Launches the cluster that is robbed: a control plane and a worker, a bystander's Secret, a thief at the window."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import urllib3

from generator.lab.connection import connection
from generator.lab.machines.machine import Machine
from generator.plan.project import Project
from generator.provider.connection import Connection
from tests.attack.loot import below
from tests.e2e.harness import Cluster, run
from tests.keyring import unseal
from tests.lab.inside import first_process

CONTROL_PLANE, WORKER = "cp01", "worker01"
BYSTANDER = "payroll"
STATE_KEY = """
import dataclasses, json, sys
sys.path.insert(0, "/usr/local/lib")
from hardway import bucket
print(json.dumps(dataclasses.asdict(bucket.find())))
"""
DESCRIPTION = """\
name: orderbook
region: fra1
release: k8s-1.36-source
image: debian-13-x64
network: {vpc: 10.110.0.0/20, nodes: 10.44.0.0/24, pods: 10.42.0.0/16, services: 10.43.0.0/16}
pools:
- {name: cp, role: control-plane, count: 1, size: s-2vcpu-4gb}
- {name: worker, role: worker, count: 1, size: s-2vcpu-4gb}
access: {api: [28.51.100.7/32]}
spaces: {bucket: orderbook-hardway, region: fra1}
addons: [bridge, coredns, ingress, metrics-server, order-book]
"""


@dataclass
class Stage:
    """A launched cluster, and what a thief who was quick enough took while it came up."""

    cluster: Cluster
    quick: dict[str, bytes] = field(default_factory=dict, repr=False)

    @property
    def store(self) -> Path:
        """Give the operator's keys, to recognize what was taken."""
        return self.cluster.directory / "keys" / self.cluster.name

    @cached_property
    def droplets(self) -> dict[str, dict[str, Any]]:
        """Describe the droplets, by node."""
        listed = json.loads(self.cluster.gen("lab", "status", "--json").stdout)["droplets"]
        return {str(droplet["name"]): droplet for droplet in listed}

    @cached_property
    def objects(self) -> dict[str, list[dict[str, Any]]]:
        """Read what there is in Kubernetes, by kind, as somebody knows who knows our addons."""
        kinds = ("namespaces", "pods", "secrets", "serviceaccounts")
        return {kind: self.cluster.items(kind, "-A") for kind in kinds}

    @cached_property
    def with_state_key(self) -> Connection:
        """Give the account as who has the key of the bucket for snapshots has it, found on a control-plane node."""
        found = json.loads(self.cluster.on(CONTROL_PLANE, "python3", "-c", STATE_KEY).stdout)
        there = connection(self.cluster.lab)
        return replace(there, token="", spaces_key_id=found["key_id"], spaces_secret=found["secret"])

    def process(self, node: str) -> int:
        """Give the first process of a node's machine, as this host numbers it."""
        machine = Machine.load(self.cluster.lab, int(self.droplets[node]["id"]))
        assert machine is not None
        found = first_process(machine)
        assert found is not None
        return found

    def pod(self, application: str) -> dict[str, Any]:
        """Give an application's only pod."""
        label = "app.kubernetes.io/name"
        [pod] = [pod for pod in self.objects["pods"] if pod["metadata"].get("labels", {}).get(label) == application]
        return pod

    def pod_process(self, application: str) -> int:
        """Give the newest process of an application's pod, as this host numbers it."""
        uid = self.pod(application)["metadata"]["uid"]
        names = {uid, uid.replace("-", "_")}
        found = [
            int(entry.name)
            for entry in Path("/proc").iterdir()
            if entry.name.isdigit() and any(name in _text(entry / "cgroup") for name in names)
        ]
        return max(found, key=lambda pid: len(_text(Path(f"/proc/{pid}/cmdline"))))


@contextmanager
def launched(directory: Path) -> Iterator[Stage]:
    """Launch the cluster in a lab of its own, give it with all its addons, and take the lab down."""
    cluster = Robbed(directory)
    cluster.gen("init", cluster.name, "--release", "k8s-1.36-source", "--api", "28.51.100.7")
    (directory / "cluster.yaml").write_text(DESCRIPTION)
    for verb in (["lab", "build"], ["check"], ["render"], ["lab", "up"]):
        cluster.gen(*verb, timeout=3600)
    try:
        stage = Stage(cluster)
        with _Window(stage):
            cluster.gen("launch", "--lab", "--yes")
        for kind in ("etcd", "database"):
            cluster.gen("snapshot", "create", "--lab", *(["--database"] if kind == "database" else []))
        cluster.kubectl("create", "namespace", BYSTANDER)
        cluster.kubectl("create", "secret", "generic", "salaries", "-n", BYSTANDER, "--from-literal=ceo=1")
        yield stage
    finally:
        cluster.gen("lab", "down", check=False)


class Robbed(Cluster):
    """A cluster whose one control-plane node answers kubectl."""

    def kubectl(self, *argv: str, check: bool = True, timeout: float = 180) -> subprocess.CompletedProcess[str]:
        """Run kubectl on the control-plane node, with the bootstrap job's credential."""
        command = ("kubectl", "--kubeconfig=/etc/kubernetes/bootstrap.conf", "--request-timeout=30s", *argv)
        return self.on(CONTROL_PLANE, *command, check=check, timeout=timeout)


class _Window:
    """Takes user data from a droplet as soon as it is there, and the sealed bundle with the address in it."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        assert self._stage.quick, "the thief saw no bundle in time"

    def _watch(self) -> None:
        while not self._over.is_set() and not self._stage.quick:
            time.sleep(0.5)
            taken = self._stage.cluster.on(
                WORKER, "cat", "/var/lib/cloud/instance/user-data.txt", check=False
            ).stdout.encode()
            try:
                facts = launch_part(taken)
                there = connection(self._stage.cluster.lab)
                http = urllib3.ProxyManager(str(there.proxy), ca_certs=str(there.ca_file))
                answer = http.request("GET", facts["bundle_url"], retries=False)
                if answer.status != 200:
                    continue
                cluster_id = Project.load(self._stage.cluster.directory / "cluster.yaml").plan.cluster_id
                plain = unseal(answer.data, base64.b64decode(facts["bundle_key"]), cluster_id, WORKER)
            except (ValueError, LookupError, urllib3.exceptions.HTTPError):
                continue  # not there yet
            self._stage.quick = {"user-data": taken, "bundle": plain}


def launch_part(user_data: bytes) -> dict[str, Any]:
    """Read what the launch told a node from its user data.

    Raises:
        IndexError: the user data holds none.
    """
    text = re.findall(rb"^\{\n.*?^\}$", user_data, flags=re.MULTILINE | re.DOTALL)[-1]
    return dict(json.loads(text[text.rindex(b"{") :]))


def user_data(stage: Stage, node: str) -> bytes:
    """Read a droplet's user data as the metadata service shows it."""
    return stage.cluster.on(node, "curl", "-sS", "http://169.254.169.254/metadata/v1/user-data").stdout.encode()


def mounted(pid: int) -> dict[str, bytes]:
    """Read what a pod's process was given: mounted files and the environment."""
    root = Path(f"/proc/{pid}/root")
    mounts = [line.split() for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines()]
    places = [
        fields[4] for fields in mounts if not fields[4].startswith(("/proc", "/sys", "/dev")) and fields[4] != "/"
    ]
    return below(root, *places) | {"environment": Path(f"/proc/{pid}/environ").read_bytes()}


def on_disk(pid: int) -> dict[str, bytes]:
    """Read what root of a node finds: configuration, keys, pods' volumes, the environment of every process."""
    root = Path(f"/proc/{pid}/root")
    files = below(
        root, "/etc/kubernetes", "/etc/hardway", "/var/lib/kubelet", "/var/lib/cloud", "/run", "/var/lib/hardway"
    )
    group = Path(f"/proc/{pid}/ns/pid").readlink()
    for entry in Path("/proc").iterdir():
        # Pods have namespaces of their own; their volumes and mounts are found above.
        try:
            if entry.name.isdigit() and (entry / "ns/pid").readlink() == group:
                files[f"environment of {entry.name}"] = (entry / "environ").read_bytes()
        except OSError:
            continue
    return files


def enter(pid: int | None = None, namespace: str | None = None) -> list[str]:
    """Give the command that runs another in a network namespace, with this host's files."""
    place = f"--net=/proc/{pid}/ns/net" if pid else f"--net=/run/netns/{namespace}"
    return ["nsenter", place, sys.executable, "-m", "tests.attack.within"]


def try_within(command: list[str], plan: dict[str, Any]) -> dict[str, list[str]]:
    """Run the tries of `within` in a network namespace."""
    done = run(*command, cwd=Path(__file__).parents[2], stdin=json.dumps(plan), timeout=900)
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found


def copied(stage: Stage, to: Path) -> Path:
    """Copy the operator's directory, keys and all."""
    shutil.copytree(stage.cluster.directory, to, symlinks=True)
    return to


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
