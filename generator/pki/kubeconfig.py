"""Builds kubeconfig files: those of a node from a table, and the operator's."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import yaml

from generator.pki.store import KeyStore
from generator.plan.certificates import node_path
from generator.plan.decide import Plan
from generator.plan.node import Node

AUTHORITY = "kubernetes-ca"
ADMIN = "admin"
OPERATOR = "operator"


@dataclass(frozen=True)
class Kubeconfig:
    """One kubeconfig on nodes: its file below `/etc/kubernetes`, and the certificate in it; who has that gets it."""

    file: str
    certificate: str


# fmt: off
TABLE: tuple[Kubeconfig, ...] = (
    #          file                       certificate
    Kubeconfig("kubelet.conf",            "kubelet-client"),
    Kubeconfig("proxy.conf",              "proxy"),
    Kubeconfig("controller-manager.conf", "controller-manager"),
    Kubeconfig("scheduler.conf",          "scheduler"),
    Kubeconfig("bootstrap.conf",          "bootstrap"),
)
# fmt: on


def node_files(plan: Plan, node: Node, store: KeyStore) -> dict[str, str]:
    """Build the kubeconfigs of one node, by file name; each reaches the API at the node's own load balancer."""
    server = f"https://127.0.0.1:{plan.balancer_port}"
    planned = {certificate.path for certificate in plan.certificates}
    rows = {row: node_path(node.name, row.certificate) for row in TABLE}
    return {
        row.file: _build(plan, store, server=server, user=row.certificate, path=path)
        for row, path in rows.items()
        if path in planned
    }


def operator(plan: Plan, authority: bytes, token: str, server: str, proxy_url: str | None) -> str:
    """Build the kubeconfig of every day, which ends with its token.

    Args:
        authority: the certificate of the cluster's authority, PEM.
        server: `https://<a control-plane droplet's public address>:6443`. That address is in no certificate; the
            planned name is, and is what kubectl checks.
        proxy_url: the way to the server when there is no direct one.
    """
    return _file(plan, authority, OPERATOR, {"token": token}, _outside(plan, server, proxy_url))


def admin(plan: Plan, authority: bytes, pair: tuple[bytes, bytes], server: str, proxy_url: str | None) -> str:
    """Build the kubeconfig that holds the administrator's certificate and key, PEM each; else as `operator`."""
    return _file(plan, authority, ADMIN, _identity(*pair), _outside(plan, server, proxy_url))


def _outside(plan: Plan, server: str, proxy_url: str | None) -> dict[str, str]:
    way = {"server": server, "tls-server-name": plan.api_server_name}
    return way if proxy_url is None else way | {"proxy-url": proxy_url}


def _build(plan: Plan, store: KeyStore, *, server: str, user: str, path: str) -> str:
    identity = _identity(store.certificate(path), store.key(path))
    return _file(plan, store.certificate(AUTHORITY), user, identity, {"server": server})


def _identity(certificate: bytes, key: bytes) -> dict[str, str]:
    return {"client-certificate-data": _data(certificate), "client-key-data": _data(key)}


def _file(plan: Plan, authority: bytes, user: str, identity: dict[str, str], way: dict[str, str]) -> str:
    context = f"{user}@{plan.name}"
    cluster = {**way, "certificate-authority-data": _data(authority)}
    values: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": plan.name, "cluster": cluster}],
        "users": [{"name": user, "user": identity}],
        "contexts": [{"name": context, "context": {"cluster": plan.name, "user": user}}],
        "current-context": context,
    }
    return yaml.safe_dump(values, sort_keys=False, width=1_000_000)


def _data(pem: bytes) -> str:
    return base64.b64encode(pem).decode()
