"""Puts together what a launch leaves its operator with: lines to copy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from generator.plan.decide import Plan
from generator.provider.connection import Connection


def facts(plan: Plan, connection: Connection, *, address: str, public: tuple[str, ...], path: Path) -> dict[str, Any]:
    """Put together how the cluster is reached; the order book's lines only where it is an addon."""
    found: dict[str, Any] = {"cluster": plan.name, "kubeconfig": str(path), "api": address, "public": public}
    if "order-book" not in plan.addons:
        return found
    host, first = plan.order_book_host, public[0]
    way = f"--resolve {host}:80:{first}"
    if connection.proxy:
        way = f"--proxytunnel --proxy {connection.proxy} --connect-to {host}:80:{first}:80"
    url = f"http://{host}/ob"
    return found | {"url": url, "curl": f"curl {way} {url}", "hosts": f"{first} {host}"}


def text(found: Mapping[str, Any]) -> str:
    """Show the facts to a person."""
    lines = [
        f"{found['cluster']} serves, after {found['seconds']} s and {found['api_requests']} API requests",
        f"  kubectl --kubeconfig {found['kubeconfig']} get nodes",
    ]
    if "url" in found:
        lines += [f"  {found['curl']}", f"  {found['url']}   with `{found['hosts']}` in /etc/hosts"]
    return "\n".join(lines)
