"""Gives kubeadm's cluster the addons as hardway renders them, with what differs there."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ADDONS: Mapping[str, tuple[str, ...]] = {
    "bridge": ("ingress", "order-book"),
    "cilium": ("cilium", "ingress", "order-book"),
}
"""Those that are applied, by the network for pods; DNS is kubeadm's own, and the proxy where Cilium is none."""
# Here nodes are joined by the VPC alone, and to the API at the first node; Cilium makes the routes.
CILIUM = {
    "auto-direct-node-routes": "true",
    "devices": "eth0 eth1",
    "direct-routing-device": "eth1",
    "mtu": "1500",
}
DOOR = {"KUBERNETES_SERVICE_HOST": "@FIRST@", "KUBERNETES_SERVICE_PORT": "6443"}
DNS_PORT = 53


def text(cni: str, rendered: Path, keys: Path) -> str:
    """Give all objects as one text, namespaces first, with the Secrets that hardway's nodes unseal.

    Args:
        cni: the network for pods.
        rendered: the directory of what hardway rendered.
        keys: its key store.
    """
    texts = [path.read_text() for name in ADDONS[cni] for path in sorted((rendered / "addons" / name).glob("*.yaml"))]
    objects = [one for text in texts for one in yaml.safe_load_all(text) if one]
    for one in objects:
        adapt(one)
    password = keys / "addons/order-book/postgres/password"
    certificate = {"tls.crt": keys / "order-book.crt", "tls.key": keys / "order-book.key"}
    objects += [
        _secret("order-book", "postgres", "Opaque", {"password": password}),
        _secret("order-book-web", "order-book", "kubernetes.io/tls", certificate),
    ]
    return yaml.safe_dump_all(sorted(objects, key=lambda one: one["kind"] != "Namespace"))


def adapt(one: dict[str, Any]) -> None:
    """Change what is otherwise there: the way to the API, the interfaces, and the port of DNS pods."""
    if one["kind"] == "ConfigMap" and one["metadata"]["name"] == "cilium-config":
        one["data"].update(CILIUM)
    if one["kind"] in ("DaemonSet", "Deployment"):
        for container in one["spec"]["template"]["spec"]["containers"]:
            for variable in container.get("env", ()):
                if variable["name"] in DOOR:
                    variable["value"] = DOOR[variable["name"]]
    if one["kind"] == "NetworkPolicy":
        for rule in one["spec"].get("egress", ()):
            for port in rule["ports"]:
                port["port"] = DNS_PORT if port["port"] == 1053 else port["port"]


def _secret(namespace: str, name: str, kind: str, files: Mapping[str, Path]) -> dict[str, Any]:
    data = {key: base64.b64encode(path.read_bytes()).decode() for key, path in files.items()}
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": kind, "data": data}
