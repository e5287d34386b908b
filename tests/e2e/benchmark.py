"""Runs the CIS benchmark's own judge, kube-bench, on a node that runs, and leaves nothing of it there.

The judge and its rows come as one Go module. They belong to no lock: no cluster outside of a test sees them.
"""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from generator.lab.content.cache import Cache
from generator.lab.content.golang import Go, GoRecipe
from tests.e2e.harness import GEN, Cluster
from tests.silent import Silent

# A newer judge brings newer rows: the tables of test_3_benchmark.py change with it.
BENCHMARK = "cis-1.9"
KUBE_BENCH = GoRecipe(
    "kube-bench",
    "github.com/aquasecurity/kube-bench",
    "v0.8.0",
    {"kube-bench": "."},
    stamps={"github.com/aquasecurity/kube-bench/cmd.KubeBenchVersion": "{number}"},
)
# The rows of roles and accounts are shell scripts that read JSON with jq, which no node has.
JQ = GoRecipe("gojq", "github.com/itchyny/gojq", "v0.12.17", {"jq": "./cmd/gojq"})

UNITS = "/etc/systemd/system"
# Where this project has what the benchmark looks for; where it names a static pod's file, ours is a unit.
_APISERVER = {"bins": ["kube-apiserver"], "confs": [f"{UNITS}/kube-apiserver.service"]}
PLACES: Mapping[str, Mapping[str, Any]] = {
    "master": {
        "components": ["apiserver", "scheduler", "controllermanager", "etcd", "kubelet"],
        "apiserver": _APISERVER,
        "scheduler": {
            "bins": ["kube-scheduler"],
            "confs": [f"{UNITS}/kube-scheduler.service"],
            "kubeconfig": ["/etc/kubernetes/scheduler.conf"],
        },
        "controllermanager": {
            "bins": ["kube-controller-manager"],
            "confs": [f"{UNITS}/kube-controller-manager.service"],
            "kubeconfig": ["/etc/kubernetes/controller-manager.conf"],
        },
        "etcd": {"bins": ["etcd"], "confs": [f"{UNITS}/etcd.service"], "datadirs": ["/var/lib/etcd"]},
        "kubelet": {"bins": ["kubelet"]},
    },
    "controlplane": {"components": ["apiserver"], "apiserver": _APISERVER},
    "etcd": {
        "components": ["etcd"],
        "etcd": {"bins": ["etcd"], "confs": [f"{UNITS}/etcd.service"], "datadirs": ["/var/lib/etcd"]},
    },
    "node": {
        "components": ["kubelet", "proxy"],
        "kubelet": {
            "bins": ["kubelet"],
            "confs": ["/var/lib/kubelet/config.yaml"],
            "svc": [f"{UNITS}/kubelet.service"],
            "kubeconfig": ["/etc/kubernetes/kubelet.conf"],
            "cafile": ["/etc/kubernetes/pki/ca.crt"],
        },
        "proxy": {
            "bins": ["kube-proxy"],
            "confs": ["/var/lib/kube-proxy/config.yaml"],
            "svc": [f"{UNITS}/kube-proxy.service"],
            "kubeconfig": ["/etc/kubernetes/proxy.conf"],
        },
    },
    "policies": {"components": []},
}
# A mount namespace of its own, gone with its last process: nothing is written where the node would see it. Some rows
# are written for bash, and would pass by mistake under another shell.
SCRIPT = """
set -e
mount -t tmpfs -o size=256m,mode=0700 judge /mnt
tar -xf - -C /mnt
mount --bind "$(readlink -f /bin/bash)" "$(readlink -f /bin/sh)"
export PATH="/mnt:/usr/local/bin:$PATH" HOME=/mnt KUBECONFIG=/etc/kubernetes/bootstrap.conf
cd /mnt
exec ./kube-bench --config-dir /mnt/cfg --config /mnt/cfg/config.yaml run --benchmark "$1" --targets "$2" --json
"""


@dataclass(frozen=True)
class Row:
    """What the judge found of one row of the benchmark."""

    number: str
    status: str
    text: str
    found: str


def judge() -> bytes:
    """Build the judge, or find it built, and pack it with its rows and with the places of this project.

    Raises:
        Problem: it was never built, and cannot be now.
    """
    go, cache, progress = Go.find(), Cache.default(), Silent()
    with cache.locked(progress):
        programs = {**go.build(KUBE_BENCH, cache, progress), **go.build(JQ, cache, progress)}
    rows = go.download(KUBE_BENCH.module, KUBE_BENCH.version, KUBE_BENCH.name) / "cfg"
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, digest in programs.items():
            _add(archive, name, cache.blob(digest).read_bytes(), 0o700)
        for path in sorted((rows / BENCHMARK).glob("*.yaml")):
            _add(archive, f"cfg/{BENCHMARK}/{path.name}", path.read_bytes(), 0o600)
        shipped = yaml.safe_load((rows / "config.yaml").read_text())
        _add(archive, "cfg/config.yaml", yaml.safe_dump({**shipped, **PLACES}).encode(), 0o600)
    return packed.getvalue()


def planned(*targets: str) -> set[str]:
    """List the numbers of all rows of some parts, as the benchmark has them."""
    go = Go.find()
    rows = go.download(KUBE_BENCH.module, KUBE_BENCH.version, KUBE_BENCH.name) / "cfg" / BENCHMARK
    parts = [yaml.safe_load((rows / f"{target}.yaml").read_text()) for target in targets]
    return {str(check["id"]) for part in parts for group in part["groups"] for check in group["checks"]}


def run(cluster: Cluster, node: str, packed: bytes, *targets: str) -> dict[str, Row]:
    """Judge a node; gives each row by its number."""
    argv = (GEN, "lab", "exec", node, "--", "unshare", "--mount", "--propagation", "private")
    done = subprocess.run(
        [*argv, "bash", "-c", SCRIPT, "judge", BENCHMARK, ",".join(targets)],
        cwd=cluster.directory,
        input=packed,
        capture_output=True,
        check=False,
        timeout=300,
    )
    said = done.stderr.decode(errors="replace")
    assert done.returncode == 0, f"{node}: exit {done.returncode}\n{said}\n{done.stdout[-2000:]!r}"
    return {row.number: row for row in _rows(json.loads(done.stdout))}


def _rows(answer: Mapping[str, Any]) -> Iterator[Row]:
    for part in answer["Controls"]:
        for group in part["tests"]:
            for result in group["results"]:
                found = str(result.get("actual_value") or result.get("reason") or "")
                yield Row(result["test_number"], result["status"], result["test_desc"], found.strip())


def _add(archive: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), mode
    archive.addfile(member, io.BytesIO(content))


def measured(rows: Mapping[str, Row]) -> dict[str, int]:
    """Count the rows by what was found."""
    return {status: sum(row.status == status for row in rows.values()) for status in ("PASS", "FAIL", "WARN", "INFO")}
