"""Asks a cluster's API server whether it is ready, which nodes are, and which addons it has; knows no other verb."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from generator.plan.names import API_PORT

if TYPE_CHECKING:
    from urllib3 import PoolManager

NODES_LIMIT = 500
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


@dataclass(frozen=True)
class NodeState:
    """A Node as Kubernetes sees it; `boot_id` is the machine's."""

    name: str
    ready: bool
    boot_id: str


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

    def nodes(self) -> Mapping[str, NodeState] | None:
        """List the cluster's nodes by name."""
        body = self._get(f"/api/v1/nodes?limit={NODES_LIMIT}")
        if body is None:
            return None
        try:
            return {state.name: state for state in map(_state, json.loads(body)["items"])}
        except (ValueError, KeyError, TypeError):
            return None

    def addons(self) -> str | None:
        """Give the digest of the addons that are applied; None before the first are."""
        body = self._get(ADDONS_RECORD)
        if body is None:
            return None
        try:
            return str(json.loads(body)["data"]["addons"])
        except (ValueError, KeyError, TypeError):
            return None

    def _get(self, path: str) -> bytes | None:
        from urllib3.exceptions import HTTPError

        try:
            answer = self._pool.request("GET", f"https://{self.address}:{API_PORT}{path}")
        except (HTTPError, OSError):
            return None
        return answer.data if answer.status == 200 else None


def _state(item: Mapping[str, Any]) -> NodeState:
    status = item["status"]
    ready = any(one["type"] == "Ready" and one["status"] == "True" for one in status.get("conditions", ()))
    return NodeState(str(item["metadata"]["name"]), ready, str(status.get("nodeInfo", {}).get("bootID", "")))
