"""Reports this node's phases to its status object and the console, and what holds it up; never a secret."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from hardway import fetch, here
from hardway.here import Failure

# In order; what is no unit of this node's role is left out.
PHASES = {
    "prepare": "hardway-prepare.service",
    "secrets": "hardway-secrets.service",
    "binaries": "hardway-binaries.service",
    "roster": "hardway-roster.service",
    "mesh": "hardway-mesh.service",
    "etcd": "etcd.service",
    "api": "kube-apiserver.service",
    "runtime": "containerd.service",
    "kubelet": "kubelet.service",
    "node": "hardway-node.service",
    "addons": "hardway-bootstrap.service",
}
# No phases, but a phase may wait for them: where one is stuck, it is the news.
ALSO = (
    "hardway-firewall.service",
    "hardway-balancer.service",
    "kube-proxy.service",
    "kube-controller-manager.service",
    "kube-scheduler.service",
)
ALL_DONE = "ready"
BEGAN, UP, DOWN = "InactiveExitTimestamp", "ActiveEnterTimestamp", "InactiveEnterTimestamp"
SHOWN = f"ActiveState,LoadState,NRestarts,Result,{BEGAN},{UP},{DOWN}"
LIMIT_BYTES = 4096
PAUSE_SECONDS = 2
HOPELESS = 3
SIGNED = re.compile(r"(?i)(?<!\S)\S*(\?|x-amz-)\S*")


@dataclass(frozen=True)
class Phase:
    """Where one phase is; `since` is in seconds, None while it waits; `restarts` after it has failed."""

    name: str
    unit: str
    state: str
    since: int | None
    restarts: int


def step() -> None:
    """Report each change, until all is done and nobody listens any more."""
    launch = here.launch()
    until = datetime.fromisoformat(launch["expires"])
    sent: dict[str, Any] | None = None
    told: dict[str, str] = {}
    was_heard = True
    while True:
        phases, others = observe()
        for phase in phases:
            if told.get(phase.name, "waiting") != phase.state:
                told[phase.name] = phase.state
                here.console(f"hardway {launch['node']}: {phase.name} {phase.state}")
        is_late = datetime.now(UTC) > until
        found = report(phases, others)
        if is_late and found["phase"] == ALL_DONE:
            return
        if found != sent and not is_late:
            is_heard = put(launch, found)
            if is_heard:
                sent = found
            elif was_heard:
                print("the store does not take the status object; trying on", flush=True)
            was_heard = is_heard
        time.sleep(PAUSE_SECONDS)


def observe() -> tuple[list[Phase], list[Phase]]:
    """Ask systemd where each phase is, and each unit that is none."""
    text = here.run("systemctl", "show", "--timestamp=unix", f"--property={SHOWN}", *PHASES.values(), *ALSO)
    blocks = [dict(line.split("=", 1) for line in block.splitlines()) for block in text.strip().split("\n\n")]
    names = [*PHASES.items(), *((unit, unit) for unit in ALSO)]
    found = [
        phase_of(name, unit, said)
        for (name, unit), said in zip(names, blocks, strict=True)
        if said["LoadState"] == "loaded"
    ]
    return [phase for phase in found if phase.name in PHASES], [phase for phase in found if phase.name not in PHASES]


def phase_of(name: str, unit: str, said: dict[str, str]) -> Phase:
    """Turn what systemd says of a unit into a phase."""
    began, up, down = (int(said[key].lstrip("@") or 0) for key in (BEGAN, UP, DOWN))
    restarts = int(said["NRestarts"])
    if said["ActiveState"] == "failed":
        return Phase(name, unit, "failed", down, restarts)
    if said["ActiveState"] == "active":
        return Phase(name, unit, "done", up, restarts)
    if down and said["Result"] == "success" and (said["ActiveState"] == "inactive" or name == "roster"):
        # A step that was run and left nothing behind; the roster is read again and again.
        return Phase(name, unit, "done", down, restarts)
    if said["ActiveState"] == "activating":
        # It goes on trying, but who watches should know.
        return Phase(name, unit, "failed" if restarts >= HOPELESS else "running", began, restarts)
    return Phase(name, unit, "waiting", None, restarts)


def report(phases: list[Phase], others: list[Phase]) -> dict[str, Any]:
    """Make the status object, but for what changes with every look."""
    boot_id = here.at("/proc/sys/kernel/random/boot_id").read_text().strip()
    stuck = [
        phase for phase in phases + others if phase.state == "failed" or (phase.state == "running" and phase.restarts)
    ]
    return {
        "version": 1,
        "node": here.facts()["node"],
        "boot_id": boot_id,
        "generation": (here.read(here.ROSTER) or {"generation": 0})["generation"],
        "phase": next((phase.name for phase in phases if phase.state != "done"), ALL_DONE),
        "phases": [
            {"name": phase.name, "state": phase.state, "since": stamp(phase.since), "unit": phase.unit}
            for phase in phases
        ],
        "failure": {"unit": stuck[0].unit, "lines": last_lines(stuck[0].unit)} if stuck else None,
    }


def put(launch: dict[str, Any], found: dict[str, Any]) -> bool:
    """Put the status object; tell whether it is there."""
    body = json.dumps(found | {"time": stamp(time.time())}).encode()
    try:
        status, _, _ = fetch.ask(launch["status_url"], body, "PUT")
    except Failure:
        return False
    return status == 200


def last_lines(unit: str) -> list[str]:
    """Give a unit's last words, as many as there is room for."""
    text = here.run("journalctl", f"--unit={unit}", "--boot", "--lines=30", "--output=cat", "--no-pager")
    lines = [SIGNED.sub("...", line)[:400] for line in text.splitlines()]
    while len(json.dumps(lines)) > LIMIT_BYTES:
        lines.pop(0)
    return lines


def stamp(seconds: float | None) -> str | None:
    """Write a time as the status object has it."""
    return None if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"
