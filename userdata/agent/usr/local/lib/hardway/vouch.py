"""Vouches for what this node says: whoever has the operator's keys can tell that it said it, and from which droplet."""

from __future__ import annotations

import base64
import hmac
import json
from typing import Any

from hardway import here

KEY = "/etc/hardway/report.key"
REPORT, ANSWER = "hardway-report-v1", "hardway-answer-v1"
# cloud-init's name for the machine is the droplet's number.
# Source: https://docs.cloud-init.io/en/latest/reference/datasources/digitalocean.html
DROPLET = "/var/lib/cloud/data/instance-id"


def droplet() -> str:
    """Give the number of the droplet that this node is now; empty where nothing tells."""
    path = here.at(DROPLET)
    return path.read_text().strip() if path.exists() else ""


def vouched(context: str, said: dict[str, Any]) -> str:
    """Wrap what is said with who says it and a MAC; before the bundle is here there is no key, and no MAC."""
    facts = here.facts()
    who = {"cluster_id": facts["cluster_id"], "node": facts["node"], "droplet": droplet()}
    return wrapped(context, who | said, here.at(KEY).read_text() if here.at(KEY).exists() else None)


def wrapped(context: str, said: dict[str, Any], key: str | None) -> str:
    """Wrap what is said with a MAC for one purpose, by a key in base64; without a key there is none."""
    payload = json.dumps(said, separators=(",", ":"))
    mac = None
    if key is not None:
        digest = hmac.digest(base64.b64decode(key), f"{context}\n{payload}".encode(), "sha256")
        mac = base64.b64encode(digest).decode()
    return json.dumps({"version": 1, "payload": payload, "mac": mac}, separators=(",", ":"))
