"""Asks a cluster's API server whether it is ready, which nodes are, and which addons it has; carries the channel."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import quote

from pydantic import BaseModel, Field

from generator import bounded, deadline
from generator.errors import Problem
from generator.plan.names import API_PORT

if TYPE_CHECKING:
    from urllib3 import PoolManager

M = TypeVar("M", bound=BaseModel)

NODES_LIMIT, NODES_PAGES = 250, 40
"""Nodes of one answer, and as many answers as the largest cluster that Kubernetes is tested with would need.
Source: https://kubernetes.io/docs/setup/best-practices/cluster-large/ (5,000 nodes)"""
LIMIT_BYTES, LIMIT_SECONDS = 32 * 1024 * 1024, 30.0
"""Of an answer; five hundred nodes with many images each come to some ten MiB."""
REPORT = "hardway/report"
"""The annotation of its own Node in which a node reports."""
ADDONS_RECORD = "/api/v1/namespaces/kube-system/configmaps/hardway"
"""Where the bootstrap job writes which addons it has applied, once all of them are up."""


class NotYet(Problem):
    """Something could not be asked or done now, and may come by itself: who has patience tries again."""


@dataclass(frozen=True)
class Credentials:
    """Who asks and whom to believe: the administrator's certificate and the cluster's authority.

    `server_name` is in every API server's certificate; no public address is.
    """

    ca_file: Path
    certificate: Path
    key: Path
    server_name: str


class _Condition(BaseModel):
    type: str
    status: str


class _Status(BaseModel):
    conditions: list[_Condition] | None = None


class _Metadata(BaseModel):
    name: str
    annotations: dict[str, str] | None = None


class _Node(BaseModel):
    metadata: _Metadata
    status: _Status | None = None


class _Page(BaseModel):
    continue_: str | None = Field(None, alias="continue")


class _Nodes(BaseModel):
    items: list[_Node]
    metadata: _Page | None = None


class _Data(BaseModel):
    addons: str
    secrets: str = ""
    states: str = ""


class _Record(BaseModel):
    data: _Data


class _TokenStatus(BaseModel):
    token: str


class _TokenRequest(BaseModel):
    status: _TokenStatus


class _ConfigMap(BaseModel):
    metadata: _Metadata
    data: dict[str, str] | None = None


class _ConfigMaps(BaseModel):
    items: list[_ConfigMap]


class Applied(NamedTuple):
    """What the bootstrap job has recorded; `addons` is None before all are up for the first time."""

    addons: str | None = None
    secrets: str = ""
    states: str = ""


@dataclass(frozen=True)
class KubeNode:
    """What Kubernetes knows of a node: whether it is ready, and the report that it has left, if any."""

    is_ready: bool
    report: str | None


class Kube:
    """One API server, at a droplet's public address.

    Every question is answered by None when the server does not answer it: here that is a state, not an error.
    """

    def __init__(self, address: str, credentials: Credentials, proxy: str | None) -> None:
        self.address = address
        self._credentials = credentials
        self._proxy = proxy

    @cached_property
    def _pool(self) -> PoolManager:
        import urllib3  # only where an API server may answer

        context = deadline.context(self._credentials.ca_file)
        context.load_cert_chain(self._credentials.certificate, self._credentials.key)
        options: dict[str, Any] = {
            "ssl_context": context,
            "server_hostname": self._credentials.server_name,
            "assert_hostname": self._credentials.server_name,
            "retries": False,
            "timeout": urllib3.Timeout(connect=3, read=10),
        }
        return urllib3.ProxyManager(self._proxy, **options) if self._proxy else urllib3.PoolManager(**options)

    def ready(self) -> bool:
        """Tell whether the server answers that it is ready."""
        return self._get("/readyz") is not None

    def nodes(self) -> Mapping[str, KubeNode] | None:
        """Tell of each of the cluster's nodes, by name, what is known."""
        found: dict[str, KubeNode] = {}
        more = ""
        for _ in range(NODES_PAGES):
            answer = self._asked(_Nodes, f"/api/v1/nodes?limit={NODES_LIMIT}{more}")
            if answer is None:
                return None
            found |= {node.metadata.name: _known(node) for node in answer.items}
            if answer.metadata is None or not answer.metadata.continue_:
                return found
            more = f"&continue={quote(answer.metadata.continue_)}"
        return None

    def addons(self) -> Applied:
        """Give the digests of addons and their secrets that are applied, and how those of a user's are."""
        answer = self._asked(_Record, ADDONS_RECORD)
        if answer is None:
            return Applied()
        return Applied(answer.data.addons or None, answer.data.secrets, answer.data.states)

    def data(self, path: str) -> Mapping[str, str] | None:
        """Give what a ConfigMap holds."""
        answer = self._asked(_ConfigMap, path)
        return None if answer is None else answer.data or {}

    def all_data(self, path: str) -> Mapping[str, Mapping[str, str]]:
        """Give what each ConfigMap of a namespace holds, by its name; nothing where no server answers."""
        answer = self._asked(_ConfigMaps, f"{path}?limit={NODES_LIMIT}")
        return {one.metadata.name: one.data or {} for one in answer.items} if answer else {}

    def token(self, account: str, lifetime: timedelta) -> str | None:
        """Ask for a token of a service account; None where it gives none."""
        spec = {"expirationSeconds": int(lifetime.total_seconds())}
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        status, body = self.request("POST", f"{account}/token", request)
        if status != HTTPStatus.CREATED:
            return None
        answer = read_json(_TokenRequest, body)
        return answer.status.token if answer else None

    def log(self, node: str, query: str) -> tuple[int | None, bytes]:
        """Ask a node's kubelet for its journal; the status is None where no server answers.

        Source: https://kubernetes.io/docs/concepts/cluster-administration/system-logs/#log-query
        """
        return self.request("GET", f"/api/v1/nodes/{node}/proxy/logs/?{query}")

    def create(self, path: str, body: Mapping[str, Any]) -> bool:
        """Make an object; tell whether it is made."""
        return self.request("POST", path, body)[0] == HTTPStatus.CREATED

    def delete(self, path: str) -> None:
        """Delete an object, if it is there and a server answers."""
        self.request("DELETE", path)

    def _asked(self, model: type[M], path: str) -> M | None:
        body = self._get(path)
        return None if body is None else read_json(model, body)

    def _get(self, path: str) -> bytes | None:
        status, body = self.request("GET", path)
        return body if status == HTTPStatus.OK else None

    def request(
        self, method: str, path: str, sent: Mapping[str, Any] | None = None, *, kind: str = "application/json"
    ) -> tuple[int | None, bytes]:
        """Send a request; the status is None where no server answers within bounds."""
        from urllib3.exceptions import HTTPError

        url = f"https://{self.address}:{API_PORT}{path}"
        body_sent = json.dumps(sent).encode() if sent is not None else None
        headers = {"Content-Type": kind} if sent is not None else None
        try:
            with deadline.within(LIMIT_SECONDS):
                answer = self._pool.request(
                    method, url, body=body_sent, headers=headers, redirect=False, preload_content=False
                )
                try:
                    body = bounded.read(answer.read1, limit_bytes=LIMIT_BYTES, seconds=LIMIT_SECONDS)
                finally:
                    answer.close()
        except (HTTPError, OSError, bounded.TooMuch):
            return None, b""
        return answer.status, body


def read_json(model: type[M], body: bytes) -> M | None:
    """Read an answer; None where it is no such thing."""
    try:
        return model.model_validate(bounded.parse_json(body))
    except ValueError:
        return None


def _known(node: _Node) -> KubeNode:
    return KubeNode(_is_ready(node), (node.metadata.annotations or {}).get(REPORT))


def _is_ready(node: _Node) -> bool:
    conditions = (node.status.conditions if node.status else None) or ()
    return any((one.type, one.status) == ("Ready", "True") for one in conditions)
