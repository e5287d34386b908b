"""Orders droplets of an account as a person's script does: a request each, the first one's address read in between."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import urllib3

from generator.provider.connection import Connection
from tests.race.kubeadm import VPC

POLL_SECONDS = 0.5
PATIENCE_SECONDS = 120


class Account:
    """An account, reached by plain requests."""

    def __init__(self, connection: Connection) -> None:
        headers = {"Authorization": f"Bearer {connection.token}", "Content-Type": "application/json"}
        assert connection.proxy is not None
        ca_file = str(connection.ca_file)
        self._pool = urllib3.ProxyManager(
            connection.proxy, ca_certs=ca_file, headers=headers, timeout=20, retries=False
        )
        self._endpoint = f"{connection.api_endpoint}/v2"

    def vpc(self, region: str) -> str:
        """Make a VPC, and give its identifier."""
        body = {"name": "race", "region": region, "ip_range": str(VPC)}
        return str(self._ask("POST", "vpcs", body)["vpc"]["id"])

    def droplets(self, order: Mapping[str, Any], names: list[str], user_data: Callable[[str | None], str]) -> None:
        """Make droplets.

        Args:
            order: what all have in common.
            names: the first is made first, the others at once as soon as its address is known.
            user_data: writes it for the first, or for the others, which are told the first one's address.
        """
        first, *others = names
        made = self._ask("POST", "droplets", {**order, "name": first, "user_data": user_data(None)})
        if others:
            address = self._private_address(made["droplet"]["id"])
            self._ask("POST", "droplets", {**order, "names": others, "user_data": user_data(address)})

    def _private_address(self, number: int) -> str:
        end = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end:
            answer = self._ask("GET", f"droplets/{number}", missing=True)
            networks = answer["droplet"]["networks"]["v4"] if "droplet" in answer else ()
            for network in networks:
                if network["type"] == "private":
                    return str(network["ip_address"])
            time.sleep(POLL_SECONDS)
        raise AssertionError(f"droplet {number} has no address after {PATIENCE_SECONDS} s")

    def _ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, missing: bool = False
    ) -> Mapping[str, Any]:
        sent = json.dumps(body) if body else None
        answer = self._pool.request(method, f"{self._endpoint}/{path}", body=sent)
        if answer.status >= 400 and not (missing and answer.status == 404):
            raise AssertionError(f"{method} {path}: {answer.status} {answer.data.decode(errors='replace')}")
        found: Mapping[str, Any] = json.loads(answer.data)
        return found
