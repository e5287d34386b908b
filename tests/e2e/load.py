"""Writes to a cluster ten times a second while something happens to it, and tells afterwards what became of each write.

No request is repeated, each has two seconds and a connection of its own, and every failure counts.
"""

from __future__ import annotations

import http.client
import itertools
import json
import ssl
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.e2e.harness import GEN, HOST, NODES, Cluster, run

EVERY, LIMIT = 0.1, 2.0
STOP = "/run/hardway-test-stop"

# Runs on a node, with what a node's Python has; a line for each write, with the node's monotonic clock.
WRITER = """
import base64, http.client, json, os, ssl, sys, time
import yaml
config = yaml.safe_load(open("/run/hardway-test.conf"))
cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
def given(what, name):
    if f"{name}-data" in what:
        path = f"/run/hardway-test-{name}"
        with open(path, "wb", opener=lambda p, f: os.open(p, f, 0o600)) as file:
            file.write(base64.b64decode(what[f"{name}-data"]))
        return path
    return what[name]
context = ssl.create_default_context(cafile=given(cluster, "certificate-authority"))
context.load_cert_chain(given(user, "client-certificate"), given(user, "client-key"))
number, due = 0, time.monotonic()
while not os.path.exists(sys.argv[1]):
    time.sleep(max(0, due - time.monotonic()))
    due += float(sys.argv[2])
    number += 1
    name = f"{sys.argv[4]}-{number:06}"
    body = json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"n": str(number)}})
    start = time.monotonic()
    try:
        ask = http.client.HTTPSConnection("127.0.0.1", 7443, timeout=float(sys.argv[3]), context=context)
        ask.request("POST", "/api/v1/namespaces/load/configmaps", body, {"Content-Type": "application/json"})
        answer = ask.getresponse()
        made = json.loads(answer.read())
        outcome = "acknowledged" if answer.status == 201 else f"answer {answer.status}"
        version = int(made["metadata"]["resourceVersion"]) if answer.status == 201 else 0
        ask.close()
    except (OSError, ValueError, http.client.HTTPException) as error:
        outcome, version = f"{type(error).__name__}: {error}", 0
    write = {"name": name, "start": start, "end": time.monotonic(), "outcome": outcome, "version": version}
    print(json.dumps(write), flush=True)
"""


@dataclass(frozen=True)
class Write:
    """One write: what it was called, when it began and ended, what came of it, and its place in the store's order."""

    name: str
    start: float
    end: float
    outcome: str
    version: int = 0

    @property
    def is_acknowledged(self) -> bool:
        """Tell whether whoever took it said so."""
        return self.outcome == "acknowledged"


@dataclass(frozen=True)
class Account:
    """What became of all writes of a kind; `gap` is the longest time without an acknowledged one, in seconds.

    `disordered` counts what the store has in another order than it was acknowledged in.
    """

    count: int
    failed: int
    lost: int
    disordered: int
    gap: float
    why: tuple[str, ...]

    def __str__(self) -> str:
        """Show it as one line."""
        reasons = f" ({'; '.join(self.why)})" if self.why else ""
        disorder = f", {self.disordered} out of order" if self.disordered else ""
        counts = f"{self.count} written, {self.failed} failed{reasons}, {self.lost} lost{disorder}"
        return f"{counts}, longest gap {self.gap:.1f} s"

    @property
    def is_kept(self) -> bool:
        """Tell whether all that was acknowledged is there, in its order, and anything was at all."""
        return (self.lost, self.disordered) == (0, 0) and self.count > self.failed


def account(writes: Sequence[Write], found: Sequence[tuple[str, int]]) -> Account:
    """Hold writes against what is there afterwards: whatever was acknowledged has to be, in its order, once.

    Args:
        found: names and places in the store's order, 0 where the store tells none.
    """
    acknowledged = [write for write in writes if write.is_acknowledged]
    there = dict(found)
    assert len(there) == len(found), "something was written twice"
    lost = [write.name for write in acknowledged if write.name not in there]
    moved = {write.name for write in acknowledged if there.get(write.name) not in (None, 0, write.version)}
    moved |= overtaken(acknowledged)
    ends = sorted(write.end for write in acknowledged)
    gap = max((later - earlier for earlier, later in itertools.pairwise(ends)), default=float("inf"))
    failures = [write.outcome for write in writes if not write.is_acknowledged]
    return Account(len(writes), len(failures), len(lost), len(moved), gap, tuple(dict.fromkeys(failures))[:4])


def overtaken(acknowledged: Sequence[Write]) -> set[str]:
    """Name the writes that began when another had ended, and that the store has before it all the same."""
    found, ended, highest = set(), sorted(acknowledged, key=lambda write: write.end), 0
    waiting = iter(ended)
    before = next(waiting, None)
    for write in sorted(acknowledged, key=lambda write: write.start):
        while before is not None and before.end <= write.start:
            highest = max(highest, before.version)
            before = next(waiting, None)
        if write.version <= highest:
            found.add(write.name)
    return found


class Objects:
    """Writes Kubernetes objects through one node's balancer."""

    def __init__(self, cluster: Cluster, node: str, prefix: str) -> None:
        self._cluster, self._node, self._prefix = cluster, node, prefix
        cluster.kubectl("create", "namespace", "load", check=False)
        cluster.on(node, "rm", "-f", STOP)
        credential = cluster.on(NODES[0], "cat", "/etc/kubernetes/bootstrap.conf").stdout
        bring = ("install", "-m", "600", "/dev/stdin", "/run/hardway-test.conf")
        run(GEN, "lab", "exec", node, "--", *bring, cwd=cluster.directory, stdin=credential)
        words = ["python3", "-c", WRITER, STOP, str(EVERY), str(LIMIT), prefix]
        self._log = cluster.directory / f"{prefix}.jsonl"
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [GEN, "lab", "exec", node, "--", *words], cwd=cluster.directory, stdout=log
            )

    def stop(self) -> Account:
        """End, and tell what became of it."""
        self._cluster.on(self._node, "touch", STOP)
        self._process.wait(timeout=60)
        writes = [Write(**json.loads(line)) for line in self._log.read_text().splitlines() if line.startswith("{")]
        items: list[dict[str, Any]] = self._cluster.items("configmaps", "-n", "load")
        found = [(str(one["metadata"]["name"]), int(one["metadata"]["resourceVersion"])) for one in items]
        return account(writes, [(name, version) for name, version in found if name.startswith(self._prefix)])


class _Secured(http.client.HTTPSConnection):
    """Tunnels to an address, and speaks there with who has the order book's name."""

    _context: ssl.SSLContext

    def connect(self) -> None:
        """Open the tunnel, and go over to TLS under the name of the order book."""
        http.client.HTTPConnection.connect(self)
        self.sock = self._context.wrap_socket(self.sock, server_hostname=HOST)


class Orders:
    """Places orders at the ingress of one node's public address; each has a price of its own.

    They are sells above whatever somebody buys at: one that is matched leaves the book, and would look lost.
    """

    def __init__(self, cluster: Cluster, node: str, first_price: int) -> None:
        self._cluster, self._node = cluster, node
        host, _, port = cluster.proxy.removeprefix("http://").partition(":")
        self._proxy = (host, int(port))
        self._address = cluster.address(node)
        self._context = ssl.create_default_context(cafile=str(cluster.authority))
        self._price = first_price
        self._writes: list[Write] = []
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()

    def _write(self) -> None:
        due = time.monotonic()
        while not self._done.wait(max(0.0, due - time.monotonic())):
            due += EVERY
            self._price += 1
            start = time.monotonic()
            outcome, number = self._place(self._price)
            self._writes.append(Write(str(self._price), start, time.monotonic(), outcome, number))

    def _place(self, price: int) -> tuple[str, int]:
        connection = _Secured(*self._proxy, timeout=LIMIT, context=self._context)
        connection.set_tunnel(self._address, 443)
        body = json.dumps({"side": "sell", "price": price, "size": 1})
        try:
            connection.request("POST", "/api/order", body, {"Host": HOST, "Content-Type": "application/json"})
            answer = connection.getresponse()
            body = answer.read()
            if answer.status not in (200, 201):
                return f"answer {answer.status}", 0
            return "acknowledged", int(json.loads(body)["id"])
        except (OSError, http.client.HTTPException) as error:
            return f"{type(error).__name__}", 0
        finally:
            connection.close()

    def stop(self) -> Account:
        """End, and tell what became of it; the order book is asked through the same ingress."""
        self._done.set()
        self._thread.join(timeout=30)
        rows = [line.split() for line in self._cluster.book("/ob", node=self._node).splitlines()]
        own = {write.name for write in self._writes}
        return account(self._writes, [(row[1], 0) for row in rows if row[:1] == ["sell"] and row[1] in own])
