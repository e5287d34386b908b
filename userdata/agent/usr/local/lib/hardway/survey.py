"""Keeps what is known of the paths from here: probed once the node is ready, on a timer, and when somebody asks."""

from __future__ import annotations

import json
import time
from typing import Any

from hardway import here, paths, services

KEPT, READY = "/run/hardway/paths.json", "/run/hardway/ready"
# The timer may look oftener than anybody needs to know.
AGAIN_SECONDS = 50
MOST_FAULTS = 16


def take() -> dict[str, Any]:
    """Probe everything, keep what came of it, and say what is new; what is wrong is said on the console too."""
    facts, roster = here.facts(), here.read(here.ROSTER)
    before = set(sentences(here.read(KEPT)))
    found = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "peers": paths.probe(facts, roster),
        "checks": services.probe(facts, roster) if here.at(READY).exists() else {},
    }
    here.write(KEPT, json.dumps(found))
    for line, is_wrong in sentences(found).items():
        if line not in before:
            print(line, flush=True)
            if is_wrong:
                here.console(f"hardway {facts['node']}: {line}")
    return found


def begin() -> None:
    """Have the paths probed from now on, but hold up nobody who waits for this step."""
    here.write(READY, "")
    here.run("systemctl", "start", "--no-block", "hardway-roster.service")


def again() -> None:
    """Probe on a timer: once this node is ready, and unless it was just now."""
    kept = here.at(KEPT)
    if here.at(READY).exists() and not (kept.exists() and time.time() - kept.stat().st_mtime < AGAIN_SECONDS):
        take()


def told() -> dict[str, Any] | None:
    """Give the part of it for a report: what is wrong, without what changes from look to look."""
    found = here.read(KEPT)
    if found is None:
        return None
    wrong = [{key: one[key] for key in ("peer", "icmp", "cause")} for one in found["peers"] if one["cause"]]
    checks = {name: trouble for name, trouble in found["checks"].items() if trouble}
    return {"peers": len(found["peers"]), "blocked": len(wrong), "faults": wrong[:MOST_FAULTS], "checks": checks}


def sentences(found: dict[str, Any] | None) -> dict[str, bool]:
    """Say in a line each how the peers' pods are reached and what the checks found, and whether that is wrong."""
    if found is None:
        return {}
    peers = {f"pods of {one['peer']} {_reached(one)}": bool(one["cause"]) for one in found["peers"]}
    return peers | {f"{name}: {trouble or 'right'}": bool(trouble) for name, trouble in found["checks"].items()}


def _reached(path: dict[str, Any]) -> str:
    if path["cause"] is None:
        return f"answer, packets of {path['mtu']} bytes pass"
    return f"answer: {path['cause']}" if path["icmp"] else f"unreachable: {path['cause']}"
