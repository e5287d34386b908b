"""Tells whether an API server answers, and whether this node is Ready."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hardway import here
from hardway.here import Failure
from hardway.kube import api


def is_served() -> bool:
    """Tell whether an API server is ready; what was asked before one answered would hang for long."""
    return api("GET", "/readyz", seconds=3)[0] == 200


def is_ready() -> bool:
    """Tell whether this node is Ready in this very boot."""
    boot_id = here.at("/proc/sys/kernel/random/boot_id").read_text().strip()
    return says_ready(*api("GET", f"/api/v1/nodes/{here.facts()['node']}"), boot_id)


def says_ready(status: int, node: Any, boot_id: str) -> bool:
    """Tell whether an answer is a Node that is ready; what an earlier boot reported does not count.

    Raises:
        Failure: the kubelet says why not, as long as pods have no network for one.
    """
    if status != 200 or node["status"].get("nodeInfo", {}).get("bootID") != boot_id:
        return False
    ready = next((one for one in node["status"].get("conditions", []) if one["type"] == "Ready"), {"status": "Unknown"})
    if ready["status"] == "False" and ready.get("message"):
        raise Failure(ready["message"])
    return bool(ready["status"] == "True")


def expect(complaint: str, test: Callable[[], bool]) -> None:
    """Fail with a complaint, and with the reason where there is one, unless a test holds."""
    try:
        if test():
            return
    except Failure as error:
        raise Failure(f"{complaint}: {error}") from None
    raise Failure(complaint)
