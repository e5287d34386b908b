"""Tells this node's API balancer which servers there are, by the roster; a change is taken over without a restart."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hardway import here

PROGRAM, FRONT = "/usr/local/sbin/haproxy", "/etc/hardway/haproxy.cfg"
BACKEND, TRIED = "/run/hardway/balancer.cfg", "/run/hardway/balancer.cfg.tried"
# What the running one has been told; a run that ends before that tells it again.
TOLD = "/run/hardway/balancer.told"

HEAD = """\
backend control-plane
  balance leastconn
  option allbackups
  option httpchk GET /readyz
"""


def follow(roster: dict[str, Any]) -> None:
    """Make the servers what the roster says; what haproxy itself would not take never takes the old list's place.

    Raises:
        Failure: haproxy does not take it.
    """
    text = backend(here.facts(), roster)
    told = here.at(TOLD)
    if text is None or (told.exists() and told.read_text() == text):
        return
    here.write(TRIED, text, mode=0o644)
    here.run(PROGRAM, "-c", "-q", "-f", str(here.at(FRONT)), "-f", str(here.at(TRIED)))
    here.at(TRIED).replace(here.at(BACKEND))
    here.run("systemctl", "try-reload-or-restart", "--no-block", "hardway-balancer.service")
    here.write(TOLD, text)


def backend(facts: dict[str, Any], roster: dict[str, Any]) -> str | None:
    """Write the servers; None where the roster has none."""
    nodes = [node for node in roster["nodes"] if node["role"] == "control-plane"]
    return HEAD + "".join(f"  {line}\n" for line in _servers(facts, nodes)) if nodes else None


def _servers(facts: dict[str, Any], nodes: list[dict[str, Any]]) -> Iterator[str]:
    """Give a line for each; where an API server is on this node, it comes first and the others stand by.

    Nothing of a newer release then asks an older API server. One's own that refuses is passed over at once; what just
    asked it goes to another. haproxy 3.0 would lose that if it ended the sessions of what it marks down, as it does
    with the others': it would hang until its client gives up.
    """
    is_here = any(node["name"] == facts["node"] for node in nodes)
    for node in nodes:
        words = ["server", node["name"], f"{node['address']}:{facts['api_port']}"]
        if node["name"] == facts["node"]:
            words += ["observe", "layer4", "error-limit", "1", "on-error", "mark-down"]
        else:
            words += ["on-marked-down", "shutdown-sessions", *(["backup"] if is_here else [])]
        yield " ".join(words)
