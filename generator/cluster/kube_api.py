"""Asks a cluster's API server whether it is ready, which nodes are, and which addons it has; knows no other verb."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel

from generator import bounded
from generator.plan.names import API_PORT

if TYPE_CHECKING:
    from urllib3 import PoolManager

M = TypeVar("M", bound=BaseModel)

NODES_LIMIT = 500
LIMIT_BYTES, LIMIT_SECONDS = 32 * 1024 * 1024, 30.0
"""Of an answer; five hundred nodes with many images each come to some ten MiB."""
ADDONS_RECORD = "/api/v1/namespaces/kube-system/configmaps/hardway"
"""Where the bootstrap job writes which addons it has applied, once all of them are up."""


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


class _Node(BaseModel):
    metadata: _Metadata
    status: _Status | None = None


class _Nodes(BaseModel):
    items: list[_Node]


class _Data(BaseModel):
    addons: str


class _Record(BaseModel):
    data: _Data


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

        context = ssl.create_default_context(cafile=str(self._credentials.ca_file))
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

    def nodes(self) -> Mapping[str, bool] | None:
        """Tell of each of the cluster's nodes, by name, whether it is ready."""
        answer = self._asked(_Nodes, f"/api/v1/nodes?limit={NODES_LIMIT}")
        return None if answer is None else {node.metadata.name: _is_ready(node) for node in answer.items}

    def addons(self) -> str | None:
        """Give the digest of the addons that are applied; None before the first are."""
        answer = self._asked(_Record, ADDONS_RECORD)
        return None if answer is None else answer.data.addons

    def _asked(self, model: type[M], path: str) -> M | None:
        body = self._get(path)
        try:
            return None if body is None else model.model_validate(bounded.parse_json(body))
        except ValueError:
            return None

    def _get(self, path: str) -> bytes | None:
        from urllib3.exceptions import HTTPError

        try:
            answer = self._pool.request("GET", f"https://{self.address}:{API_PORT}{path}", preload_content=False)
            try:
                body = bounded.read(answer.read1, limit_bytes=LIMIT_BYTES, seconds=LIMIT_SECONDS)
            finally:
                answer.close()
        except (HTTPError, OSError, bounded.TooMuch):
            return None
        return body if answer.status == 200 else None


def _is_ready(node: _Node) -> bool:
    conditions = (node.status.conditions if node.status else None) or ()
    return any((one.type, one.status) == ("Ready", "True") for one in conditions)
