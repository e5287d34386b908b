"""A kernel for the mesh that answers `ip` and `wg`, and the peers of a roster."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hardway import here
from hardway.here import Failure


def peer(number: int, endpoint: str | None = None, key: str = "") -> dict[str, Any]:
    return {
        "name": f"node0{number}",
        "role": "control-plane",
        "address": f"10.44.0.{number}",
        "pod_cidr": f"10.42.{number - 1}.0/24",
        "wireguard": key or f"key{number}",
        "endpoint": endpoint,
    }


class Kernel:
    """Answers `ip` and `wg` as a kernel would; `missing` commands fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *missing: str) -> None:
        self.ran: list[str] = []
        self.handshakes = {"key2": 0, "key3": 0}
        self.endpoints: dict[str, str] = {}
        self.addresses = ["10.44.0.1", "10.110.0.1"]
        self.route = {"dev": "wg0"}
        self.missing = missing
        self.says = "RTNETLINK answers: No buffer space available"
        monkeypatch.setattr(here, "run", self.run)

    def run(self, *argv: str, **_: object) -> str:
        line = " ".join(argv)
        self.ran.append(line)
        if line.startswith(self.missing):
            raise Failure(f"{line}: {self.says}")
        if line == "wg show wg0 latest-handshakes":
            return "".join(f"{key}\t{when}\n" for key, when in self.handshakes.items())
        if line == "wg show wg0 endpoints":
            return "".join(f"{key}\t{where}:51820\n" for key, where in self.endpoints.items())
        if line.startswith("ip -json route get"):
            return json.dumps([self.route])
        if line.startswith("ip -json"):
            return json.dumps([{"ifname": "eth1", "addr_info": [{"local": address}]} for address in self.addresses])
        return ""
