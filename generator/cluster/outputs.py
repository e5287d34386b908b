"""Puts together what a launch leaves its operator with: lines to copy."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from generator.plan.decide import Plan
from generator.provider.connection import Connection


def facts(
    plan: Plan, connection: Connection, *, address: str, public: tuple[str, ...], path: Path, authority: Path
) -> dict[str, Any]:
    """Put together how the cluster is reached; the order book's lines only where it is an addon.

    Args:
        plan: what was launched.
        connection: may lead through a proxy.
        address: where the API answers, for people.
        public: where the ingress answers.
        path: of the kubeconfig.
        authority: of the certificate that visitors have to believe, where it is ours.
    """
    found: dict[str, Any] = {"cluster": plan.name, "kubeconfig": str(path), "api": address, "public": public}
    return found | (order_book(plan, connection, public, authority) if "order-book" in plan.addons else {})


def order_book(plan: Plan, connection: Connection, public: Sequence[str], authority: Path) -> dict[str, Any]:
    """Put together how the order book is reached: its URL, the line for a hosts file, and a request as a command."""
    host, first = plan.order_book_host, public[0]
    words = ["curl"]
    if plan.has_own_ingress_authority:
        words += ["--cacert", str(authority)]
    if connection.proxy:
        words += ["--proxytunnel", "--proxy", connection.proxy, "--connect-to", f"{host}:443:{first}:443"]
    else:
        words += ["--resolve", f"{host}:443:{first}"]
    url = f"https://{host}/ob"
    found = {"url": url, "curl": shlex.join([*words, url]), "hosts": f"{first} {host}"}
    return found | ({"authority": str(authority)} if plan.has_own_ingress_authority else {})


def text(found: Mapping[str, Any]) -> str:
    """Show the facts to a person."""
    lines = [
        f"{found['cluster']} serves, after {found['seconds']} s and {found['api_requests']} API requests",
        f"  kubectl --kubeconfig {found['kubeconfig']} get nodes",
    ]
    return "\n".join([*lines, *(f"  {line}" for line in order_book_lines(found))])


def order_book_lines(found: Mapping[str, Any]) -> list[str]:
    """Show a person how the order book is reached; nothing where it is no addon."""
    if "url" not in found:
        return []
    lines = [found["curl"], f"{found['url']}   with `{found['hosts']}` in /etc/hosts"]
    if "authority" in found:
        lines[-1] += f", and {found['authority']} among the authorities that the browser believes"
    return lines
