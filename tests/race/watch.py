"""Looks at a cluster that boots, in the same way whoever boots it, and notes when it came to what is wanted of it."""

from __future__ import annotations

import base64
import json
import ssl
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPSConnection
from pathlib import Path
from socket import create_connection
from typing import Any
from urllib.parse import urlsplit

import yaml

from generator.lab.machines.machine import Machine
from generator.lab.state import State

TICK_SECONDS = 0.5
PATIENCE_SECONDS = 3.0
API_NAME, API_PORT = "kubernetes.default.svc", 6443
"""In the certificate of every API server, whoever made it."""
ORDER = json.dumps({"side": "buy", "price": 101, "size": 7})


class NotYetError(Exception):
    """What was asked for is not there, or says no."""


@dataclass(frozen=True)
class Credentials:
    """An administrator's, in PEM."""

    authority: bytes
    certificate: bytes
    key: bytes = field(repr=False)

    @classmethod
    def of_kubeconfig(cls, text: str) -> Credentials:
        """Read them from a kubeconfig that holds them."""
        value = yaml.safe_load(text)
        (cluster,), (user,) = value["clusters"], value["users"]
        found = (
            cluster["cluster"]["certificate-authority-data"],
            user["user"]["client-certificate-data"],
            user["user"]["client-key-data"],
        )
        return cls(*map(base64.b64decode, found))

    def context(self) -> ssl.SSLContext:
        """Verify the other side by them, and be the administrator."""
        context = ssl.create_default_context(cadata=self.authority.decode())
        with tempfile.NamedTemporaryFile(suffix=".pem") as file:
            file.write(self.certificate + self.key)
            file.flush()
            context.load_cert_chain(file.name)
        return context


class _Through(HTTPSConnection):
    """HTTPS to an address behind the lab's proxy, under a name that the certificate there has."""

    def __init__(self, proxy: str, address: str, port: int, name: str, context: ssl.SSLContext) -> None:
        super().__init__(name, port, timeout=PATIENCE_SECONDS, context=context)
        self._proxy, self._address, self._tls = urlsplit(proxy), address, context

    def connect(self) -> None:
        """Ask the proxy for the way, then shake hands at its end."""
        plain = create_connection((str(self._proxy.hostname), self._proxy.port or 80), PATIENCE_SECONDS)
        try:
            plain.sendall(f"CONNECT {self._address}:{self.port} HTTP/1.1\r\n\r\n".encode())
            head = b""
            while not head.endswith(b"\r\n\r\n") and (byte := plain.recv(1)):
                head += byte
            if b" 200 " not in head:
                raise NotYetError(head.decode(errors="replace"))
            self.sock = self._tls.wrap_socket(plain, server_hostname=self.host)
        except BaseException:
            plain.close()
            raise


@dataclass
class Watch:
    """One cluster of a lab, on its way.

    Args:
        state: the lab.
        proxy: the lab's.
        nodes: how many there will be.
        pods: how many pods of each app have to be ready, among all pods that there are.
        credentials: the administrator's, or None as long as there are none.
        book: the order book's host, and the certificate of its authority in PEM.
    """

    state: State
    proxy: str
    nodes: int
    pods: Mapping[str, int]
    credentials: Callable[[], Credentials | None]
    book: tuple[str, str]
    seen: dict[str, float] = field(default_factory=dict)
    last: dict[str, str] = field(default_factory=dict)

    def run(self, seconds: float, is_lost: Callable[[], bool]) -> bool:
        """Look until all is there, and tell whether it came in time.

        `seen` has the moment of each in seconds of the epoch: `api`, `ready`, `pods` and `served`.
        """
        end = time.monotonic() + seconds
        over = threading.Event()
        threads = [threading.Thread(target=self._follow, args=(way, over), daemon=True) for way in self._ways()]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads) and time.monotonic() < end and not is_lost():
            time.sleep(TICK_SECONDS)
        over.set()
        for thread in threads:
            thread.join()
        return {"api", "ready", "pods", "served"} <= self.seen.keys()

    def _ways(self) -> list[dict[str, Callable[[], bool]]]:
        return [{"api": self._answers, "ready": self._ready, "pods": self._run}, {"served": self._serve}]

    def _follow(self, way: Mapping[str, Callable[[], bool]], over: threading.Event) -> None:
        for name, question in way.items():
            while not over.is_set():
                try:
                    if question():
                        self.seen[name] = time.time()
                        break
                except (OSError, HTTPException, ValueError, NotYetError) as error:
                    self.last[name] = f"{type(error).__name__}: {error}"
                over.wait(TICK_SECONDS)

    @property
    def _addresses(self) -> list[str]:
        return [str(machine.port.public) for machine in Machine.all(self.state)]

    def _answers(self) -> bool:
        return self._api("/readyz") == "ok"

    def _ready(self) -> bool:
        nodes = json.loads(self._api("/api/v1/nodes"))["items"]
        ready = sum(is_ready(node) for node in nodes)
        self.last["ready"] = f"{ready} of {len(nodes)} nodes"
        return ready == self.nodes

    def _run(self) -> bool:
        return self.lacking() == ""

    def lacking(self) -> str:
        """Say which pods are not ready, or not there; nothing when all are."""
        pods = json.loads(self._api("/api/v1/pods"))["items"]
        self.last["pods"] = text = unready(pods, self.pods)
        return text

    def _api(self, path: str) -> str:
        """Ask the first API server that answers."""
        known = self.credentials()
        if known is None:
            raise NotYetError("no credentials yet")
        context, last = known.context(), NotYetError("no machine yet")
        for address in self._addresses:
            try:
                return self._ask(address, API_PORT, API_NAME, context, "GET", path)
            except (OSError, HTTPException, NotYetError) as error:
                last = NotYetError(f"{address}: {error}")
        raise last

    def _serve(self) -> bool:
        """Place an order through each node, at each once."""
        addresses = self._addresses
        host, authority = self.book
        if len(addresses) < self.nodes:
            return False
        for address in addresses[len(self._served) :]:
            context = ssl.create_default_context(cadata=authority)
            self._ask(address, 443, host, context, "POST", "/api/order", ORDER)
            self._served.append(address)
        return True

    _served: list[str] = field(default_factory=list)

    def _ask(
        self, address: str, port: int, name: str, context: ssl.SSLContext, method: str, path: str, body: str = ""
    ) -> str:
        connection = _Through(self.proxy, address, port, name, context)
        try:
            headers = {"Content-Type": "application/json", "Connection": "close"}
            connection.request(method, path, body or None, headers)
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace")
        finally:
            connection.close()
        if answer.status not in (200, 201):
            raise NotYetError(f"{answer.status} {text[:200]}")
        return text


def is_ready(item: Mapping[str, Any]) -> bool:
    """Tell whether a node or a pod says that it is ready."""
    conditions = item.get("status", {}).get("conditions", ())
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def unready(pods: list[dict[str, Any]], wanted: Mapping[str, int]) -> str:
    """Say which pods are not ready, and of which app there are too few; nothing when all is well.

    Args:
        pods: all that there are.
        wanted: how many there have to be, by the beginning of their names.
    """
    names = [str(pod["metadata"]["name"]) for pod in pods]
    counts = Counter({app: sum(name.startswith(f"{app}-") for name in names) for app in wanted})
    few = [f"{counts[app]} of {count} {app}" for app, count in wanted.items() if counts[app] < count]
    return ", ".join([*few, *(name for name, pod in zip(names, pods, strict=True) if not is_ready(pod))])


def kubeconfig_of(state: State, path: str) -> Credentials | None:
    """Read a kubeconfig from the disk of the first droplet that has it; the lab alone can."""
    for machine in Machine.all(state):
        file = Path(machine.directory) / "upper" / path
        try:
            return Credentials.of_kubeconfig(file.read_text())
        except (FileNotFoundError, TypeError, ValueError):
            continue  # not there, or not whole
    return None
