"""Drives `gen` and looks into the lab as the end-to-end tests need it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from generator.lab.state import CGROUP, State, name_of

GEN = str(Path(sys.executable).with_name("gen"))
NODES = ("node01", "node02", "node03")
HOST = "limit-order-book.local"


def run(
    *argv: str, cwd: Path | None = None, check: bool = True, timeout: float = 900, stdin: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command, keep what it says, and show it when it fails."""
    done = subprocess.run(
        argv, cwd=cwd, check=False, capture_output=True, text=True, timeout=timeout, input=stdin, errors="replace"
    )
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(argv)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done


def connected_by_bridge(directory: Path) -> None:
    """Describe a cluster with the small network for pods: what `gen init` chooses has a test module of its own."""
    file = directory / "cluster.yaml"
    text = file.read_text()
    assert "addons: [cilium," in text
    file.write_text(text.replace("addons: [cilium,", "addons: [bridge,"))


def until(what: str, probe: Callable[[], object], seconds: float = 180) -> object:
    """Wait until a probe answers something true; a failed assertion inside it means not yet."""
    end = time.monotonic() + seconds
    last: object = None
    while time.monotonic() < end:
        try:
            last = probe()
            if last:
                return last
        except (AssertionError, OSError, ValueError, KeyError, IndexError, subprocess.TimeoutExpired) as error:
            last = error
        time.sleep(1)
    raise AssertionError(f"{what}: not within {seconds:.0f} s; last: {last}")


@dataclass
class Cluster:
    """One cluster of one lab, described below `directory`."""

    directory: Path
    name: str = "orderbook"
    times: dict[str, float] = field(default_factory=dict)

    @property
    def lab(self) -> State:
        """Find the lab of the directory, as `gen` does there."""
        return State.named(os.environ.get("HARDWAY_LAB") or name_of(self.directory))

    def gen(self, *argv: str, check: bool = True, timeout: float = 1200) -> subprocess.CompletedProcess[str]:
        """Run a verb of hardway in the cluster's directory."""
        return run(GEN, *argv, cwd=self.directory, check=check, timeout=timeout)

    def on(self, node: str, *argv: str, check: bool = True, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Run a command inside a droplet, as the lab alone can."""
        return self.gen("lab", "exec", node, "--", *argv, check=check, timeout=timeout)

    def create(self, node: str, text: str, *argv: str) -> str:
        """Have kubectl on a droplet create what a text describes."""
        words = ("kubectl", "--kubeconfig=/etc/kubernetes/bootstrap.conf", "create", "--filename=-", *argv)
        return run(GEN, "lab", "exec", node, "--", *words, cwd=self.directory, stdin=text).stdout

    def kubectl(self, *argv: str, check: bool = True, timeout: float = 180) -> subprocess.CompletedProcess[str]:
        """Run kubectl on the first droplet that answers, with the bootstrap job's credential."""
        last: subprocess.CompletedProcess[str] | None = None
        for node in NODES:
            last = self.on(
                node,
                "kubectl",
                "--kubeconfig=/etc/kubernetes/bootstrap.conf",
                "--request-timeout=30s",
                *argv,
                check=False,
                timeout=timeout,
            )
            if last.returncode == 0 or not check:
                return last
        assert last is not None
        raise AssertionError(f"kubectl {' '.join(argv)}: exit {last.returncode}\n{last.stdout}\n{last.stderr}")

    def items(self, *argv: str) -> list[dict[str, object]]:
        """Read a list of Kubernetes objects."""
        found = json.loads(self.kubectl("get", *argv, "-o", "json").stdout)["items"]
        assert isinstance(found, list)
        return found

    def etcdctl(self, node: str, *argv: str, check: bool = True) -> str:
        """Ask the etcd member of a node."""
        pki = "/etc/kubernetes/pki"
        return self.on(
            node,
            "etcdctl",
            "--endpoints=https://127.0.0.1:2379",
            f"--cacert={pki}/etcd-ca.crt",
            f"--cert={pki}/apiserver-etcd-client.crt",
            f"--key={pki}/apiserver-etcd-client.key",
            *argv,
            check=check,
        ).stdout

    def address(self, node: str) -> str:
        """Find the public address of a droplet."""
        return self.gen("lab", "address", node).stdout.strip()

    @property
    def proxy(self) -> str:
        """Find the lab's CONNECT proxy."""
        return self.gen("lab", "address", "--proxy").stdout.strip()

    @property
    def authority(self) -> Path:
        """Find the certificate that visitors of the order book have to believe."""
        return self.directory / "rendered" / self.name / "ingress-ca.crt"

    def book(self, path: str, *curl: str, node: str = "node01", address: str | None = None) -> str:
        """Ask the order book through the ingress on a droplet's public address, or on one that is given."""
        return run(
            "curl",
            "-sS",
            "--fail",
            "--max-time",
            "15",
            "--cacert",
            str(self.authority),
            "--proxytunnel",
            "--proxy",
            self.proxy,
            "--connect-to",
            f"{HOST}:443:{address or self.address(node)}:443",
            *curl,
            f"https://{HOST}{path}",
        ).stdout

    def order(self, side: str, price: int, size: int, node: str = "node01") -> str:
        """Place an order."""
        body = json.dumps({"side": side, "price": price, "size": size})
        return self.book("/api/order", "-X", "POST", "-H", "Content-Type: application/json", "-d", body, node=node)

    def members(self) -> list[dict[str, object]]:
        """List the etcd members as one of the running ones knows them."""
        for node in NODES:
            answer = self.etcdctl(node, "member", "list", "-w", "json", check=False)
            if answer.startswith("{"):
                found = json.loads(answer)["members"]
                assert isinstance(found, list)
                return found
        raise AssertionError("no etcd member answers")

    def told(self) -> str:
        """Tell how it is: nodes, pods, what happened last, and the last words of each ingress and of the order book."""
        asked = [
            ("get", "nodes,pods", "-A", "-o", "wide"),
            ("get", "events", "-A", "--sort-by=.lastTimestamp"),
            ("logs", "-n", "ingress", "-l", "app.kubernetes.io/name=traefik", "--tail=15", "--prefix"),
            (
                "logs",
                "-n",
                "order-book",
                "-l",
                "app.kubernetes.io/name=limit-order-book",
                "--tail=15",
                "--all-containers",
            ),
        ]
        found = [self.gen("status", "--lab", check=False).stdout]
        for words in asked:
            try:
                done = self.kubectl(*words, check=False)
                found.append("\n".join((done.stdout or done.stderr).splitlines()[-40:]))
            except (AssertionError, subprocess.TimeoutExpired) as error:
                found.append(str(error))
        return "\n\n".join(found)

    def ready_nodes(self) -> set[str]:
        """Name the nodes that Kubernetes calls Ready."""
        return {
            str(node["metadata"]["name"])  # type: ignore[index]
            for node in self.items("nodes")
            if any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"]["conditions"])  # type: ignore[index]
        }


def processes_of(lab: State) -> Iterator[tuple[str, bytes, bytes]]:
    """List name, arguments and environment of every process below a lab's cgroups."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if f"/{CGROUP}/{lab.name}/".encode() in (entry / "cgroup").read_bytes():
                name = (entry / "comm").read_text().strip()
                yield name, (entry / "cmdline").read_bytes(), (entry / "environ").read_bytes()
        except OSError:
            continue  # it ended meanwhile


class Sampler:
    """Collects every argument list and environment that processes of the droplets show while they run."""

    def __init__(self, lab: State, pause: float = 0.7) -> None:
        self.lab = lab
        self.seen: set[tuple[str, bytes]] = set()
        self.samples = 0
        self._pause = pause
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._collect, daemon=True)

    def __enter__(self) -> Sampler:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _collect(self) -> None:
        while not self._stop.wait(self._pause):
            for name, arguments, environment in processes_of(self.lab):
                parts = arguments.split(b"\0") + environment.split(b"\0")
                self.seen.update((name, part) for part in parts if part)
            self.samples += 1


def listed(seen: Iterable[tuple[str, bytes]]) -> bytes:
    """Join what processes showed into one text to search."""
    return b"\0".join(part for _, part in seen)


def host_facts(lab: State) -> dict[str, list[str]]:
    """Describe the host as a lab must leave it: namespaces, mounts, cgroups, loops, sysctls, links, routes, nft.

    Other labs may come and go meanwhile; what is theirs is left out.
    """
    volatile = (
        "fs.dentry-state", "fs.file-nr", "fs.inode", "fs.aio-nr", "fs.quota", "kernel.random", "kernel.ns_last_pid",
        "kernel.pty.nr", "nf_conntrack_count", "perf_event_max_sample_rate", "kernel.sched_domain",
        "net.ipv4.route.", "nf_conntrack_buckets", "max_user_instances", "max_inotify_instances",
    )  # fmt: skip
    others = [each.name for each in State.all(lab) if each.name != lab.name]
    sysctls = run("sysctl", "-a", check=False).stdout.splitlines()
    groups = [path for pattern in ("*", "*/*") for path in Path("/sys/fs/cgroup").glob(pattern) if path.name == CGROUP]
    cgroups = [str(path) for group in groups for path in group.rglob("*") if path.is_dir()]
    facts = {
        "namespaces": run("ip", "netns", "list", check=False).stdout.splitlines(),
        "mounts": [line.split(" ", 2)[2] for line in Path("/proc/self/mountinfo").read_text().splitlines()],
        # the group of all labs goes with the last one
        "cgroups": [*cgroups, *(str(path) for path in groups if not others)],
        "loops": run("losetup", "-a", check=False).stdout.splitlines(),
        "sysctls": [line for line in sysctls if not any(word in line for word in volatile)],
        "links": run("ip", "-o", "link").stdout.splitlines(),
        "routes": run("ip", "route", "show", "table", "all").stdout.splitlines(),
        "nft": run("nft", "list", "ruleset", check=False).stdout.splitlines(),
    }
    return {name: [line for line in lines if not any(o in line for o in others)] for name, lines in facts.items()}
