"""Reports this node's phases, what runs here and what holds it up, to the operator and the console; never a secret.

The report is an annotation of the node's own Node; until the API takes it, it goes to the node's status object.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from hardway import etcdctl, fetch, here, kube, mounted, survey, timeline, vouch
from hardway.here import Failure
from hardway.timeline import Phase

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
    "volumes": "hardway-volumes.service",
    "kubelet": "kubelet.service",
    "node": "hardway-node.service",
    "addons": "hardway-bootstrap.service",
}
# No phases, but a phase or a full volume may wait for them: where one is stuck, it is the news.
ALSO = (
    "hardway-firewall.service",
    "hardway-balancer.service",
    "hardway-grow.service",
    "kube-proxy.service",
    "kube-controller-manager.service",
    "kube-scheduler.service",
)
ALL_DONE = "ready"
# In microseconds of the clock that never jumps.
BEGAN, UP, DOWN = (f"{name}TimestampMonotonic" for name in ("InactiveExit", "ActiveEnter", "InactiveEnter"))
SHOWN = f"ActiveState,After,LoadState,NRestarts,Result,{BEGAN},{UP},{DOWN}"
LIMIT_BYTES = 4096
# While something is still to come, and when all is done; a report that says nothing new is sent again after a while.
PAUSE_SECONDS, SETTLED_PAUSE_SECONDS, AGAIN_SECONDS = 2, 15, 300
# What hangs here holds up the next report.
API_SECONDS = 5
ANNOTATION = "hardway/report"
AGENT = "/etc/hardway/agent.sha256"
HOPELESS = 3
SIGNED = re.compile(r"(?i)(?<!\S)\S*(\?|x-amz-)\S*")


def step() -> None:
    """Report each change, and now and then without one, for as long as the node runs."""
    sent, sent_at = None, 0.0
    told: dict[str, str] = {}
    was_heard = True
    while True:
        phases, others = observe()
        for phase in phases:
            if told.get(phase.name, "waiting") != phase.state:
                told[phase.name] = phase.state
                here.console(f"hardway {here.facts()['node']}: {phase.name} {phase.state}")
        found = report(phases, others)
        if found != sent or time.monotonic() - sent_at >= AGAIN_SECONDS:
            is_heard = tell(found)
            if is_heard:
                sent, sent_at = found, time.monotonic()
            elif was_heard:
                print("nobody takes the report; trying on", flush=True)
            was_heard = is_heard
        time.sleep(SETTLED_PAUSE_SECONDS if found["phase"] == ALL_DONE and was_heard else PAUSE_SECONDS)


def tell(found: dict[str, Any]) -> bool:
    """Hand a report over: to the API once it may be up, and to the status object while its address lasts.

    Who launches asks the API only once a report says that it is up, so the store has to hear that too.
    """
    text = vouch.vouched(vouch.REPORT, found | {"time": timeline.stamp(timeline.now())})
    may_be_up = any(phase["name"] == "kubelet" and phase["state"] == "done" for phase in found["phases"])
    is_heard = may_be_up and annotate(text)
    launch = here.launch()
    if datetime.now(UTC) <= datetime.fromisoformat(launch["expires"]):
        return put(launch, text) or is_heard
    return is_heard


def observe() -> tuple[list[Phase], list[Phase]]:
    """Ask systemd where each phase is, and each unit that is none."""
    text = here.run("systemctl", "show", f"--property={SHOWN}", *PHASES.values(), *ALSO)
    blocks = [dict(line.split("=", 1) for line in block.splitlines()) for block in text.strip().split("\n\n")]
    names = [*PHASES.items(), *((unit, unit) for unit in ALSO)]
    found = [
        phase_of(name, unit, said)
        for (name, unit), said in zip(names, blocks, strict=True)
        if said["LoadState"] == "loaded"
    ]
    found = timeline.at_first(found)
    return [phase for phase in found if phase.name in PHASES], [phase for phase in found if phase.name not in PHASES]


def phase_of(name: str, unit: str, said: dict[str, str]) -> Phase:
    """Turn what systemd says of a unit into a phase."""
    began, up, down = (int(said[key] or 0) / 1e6 or None for key in (BEGAN, UP, DOWN))
    restarts = int(said["NRestarts"])

    def phase(state: str, since: float | None) -> Phase:
        return Phase(name, unit, state, since, restarts, began, tuple(said.get("After", "").split()))

    if said["ActiveState"] == "failed":
        return phase("failed", down)
    if said["ActiveState"] == "active":
        return phase("done", up)
    if down and said["Result"] == "success" and (said["ActiveState"] == "inactive" or name == "roster"):
        # A step that was run and left nothing behind; the roster is read again and again.
        return phase("done", down)
    if said["ActiveState"] == "activating":
        # It goes on trying, but who watches should know.
        return phase("failed" if restarts >= HOPELESS else "running", began)
    return phase("waiting", None)


def report(phases: list[Phase], others: list[Phase]) -> dict[str, Any]:
    """Make the report, but for what changes with every look."""
    boot_id = here.at("/proc/sys/kernel/random/boot_id").read_text().strip()
    stuck = [
        phase for phase in phases + others if phase.state == "failed" or (phase.state == "running" and phase.restarts)
    ]
    is_member = any(phase.name == "etcd" and phase.state == "done" for phase in phases)
    return {
        "version": 2,
        "boot_id": boot_id,
        "generation": (here.read(here.ROSTER) or {"generation": 0})["generation"],
        "phase": next((phase.name for phase in phases if phase.state != "done"), ALL_DONE),
        "phases": [
            {"name": phase.name, "state": phase.state, "since": timeline.stamp(phase.since), "unit": phase.unit}
            for phase in phases
        ],
        "timeline": timeline.spans(phases + others),
        "digests": running(),
        "etcd": etcdctl.bookkeeping() if is_member else None,
        "volumes": [asdict(use) for use in mounted.uses()],
        "paths": survey.told(),
        "failure": {"unit": stuck[0].unit, "lines": last_lines(stuck[0].unit)} if stuck else None,
    }


def annotate(text: str) -> bool:
    """Write the report onto this node's Node; tell whether it is there."""
    change = {"metadata": {"annotations": {ANNOTATION: text}}}
    try:
        status, _ = kube.patch(f"/api/v1/nodes/{here.facts()['node']}", change, seconds=API_SECONDS)
    except Failure:
        return False
    return status == 200


def put(launch: dict[str, Any], text: str) -> bool:
    """Put the status object; tell whether it is there."""
    try:
        status, _, _ = fetch.ask(launch["status_url"], text.encode(), "PUT", seconds=20)
    except Failure:
        return False
    return status == 200


def running() -> dict[str, str]:
    """Give the digests of what this node was told to run: its agent, and its secrets."""
    pin = here.at(AGENT)
    return {"agent": pin.read_text().strip() if pin.exists() else "", "bundle": here.facts()["bundle_sha256"]}


def last_lines(unit: str) -> list[str]:
    """Give a unit's last words, as many as there is room for."""
    text = here.run("journalctl", f"--unit={unit}", "--boot", "--lines=30", "--output=cat", "--no-pager")
    lines = [SIGNED.sub("...", line)[:400] for line in text.splitlines()]
    while len(json.dumps(lines)) > LIMIT_BYTES:
        lines.pop(0)
    return lines
