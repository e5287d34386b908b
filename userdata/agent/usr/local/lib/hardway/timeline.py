"""Tells when each step of this boot began and ended, and what it waited for, by one clock."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

from hardway import here

WAITS = "/run/hardway/waits"
"""One line for each wait that is over: step, when it began and ended by the clock that never jumps, for what."""
FIRST = "cloud-init-local.service"
STEPS = {
    "etcd": "etcd.service",
    "kubelet": "kubelet.service",
    "promote": "etcd.service",
    "turn": "kube-apiserver.service",
}
"""Units that are not called like the step that they run; others are `hardway-<step>.service`."""
FIRST_RUNS = "/run/hardway/first-runs.json"
AGAIN, NO_BOOT = ("roster",), ("hardway-grow.service",)
"""Steps that run again and again, of which the first run counts, and what has nothing to do with a boot."""
IMAGES = "hardway-images.service"
"""Runs beside the phases and is none of them: what it notes are no waits, but images that it has fetched."""
SHORTEST = 0.3
"""Seconds; a wait that is shorter is nobody's news."""
# What waits again and again, long after the boot, is not told for ever.
LARGEST_BYTES = 32 << 10
MOST, LONGEST = 40, 120
"""So many waits are told, and so many characters of what each was for."""
JUMP = 0.5


@dataclass(frozen=True)
class Phase:
    """Where one phase is.

    `since` is when it came to be so, by the clock that never jumps, in seconds, None while it waits; `began` is when it
    was started; `restarts` after it has failed; `after` are units that had to be up before.
    """

    name: str
    unit: str
    state: str
    since: float | None
    restarts: int
    began: float | None = None
    after: tuple[str, ...] = ()


@dataclass
class _Clock:
    """What the clock of the day is ahead of the one that never jumps; read again once it was set."""

    ahead: float = 0.0

    def time(self, moment: float) -> float:
        found = time.time() - now()
        if abs(found - self.ahead) > JUMP:
            self.ahead = found
        return self.ahead + moment


_CLOCK = _Clock()


def now() -> float:
    """Give the moment by the clock that never jumps, which is systemd's as well."""
    return time.clock_gettime(time.CLOCK_MONOTONIC)


def stamp(moment: float | None) -> str | None:
    """Write a moment of the clock that never jumps as a time of the day, with its milliseconds."""
    if moment is None:
        return None
    text = datetime.fromtimestamp(_CLOCK.time(moment), UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def note(step: str, what: str, began: float) -> None:
    """Remember that a step has waited for something until now; where that can't be, nothing else suffers."""
    ended = now()
    if ended - began < SHORTEST:
        return
    path = here.at(WAITS)
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size > LARGEST_BYTES:
            return
        with path.open("a") as file:
            file.write(f"{step} {began:.3f} {ended:.3f} {' '.join(what.split())[:LONGEST]}\n")


def waits() -> Iterator[tuple[str, float, float, str]]:
    """Give each wait that is over, as its unit, when it began and ended, and for what it was."""
    path = here.at(WAITS)
    for line in (path.read_text() if path.exists() else "").splitlines():
        step, began, ended, what = line.split(" ", 3)
        yield STEPS.get(step, f"hardway-{step}.service"), float(began), float(ended), what


def at_first(phases: Sequence[Phase]) -> list[Phase]:
    """Give the phases, and of steps that run again and again how their first run in this boot was."""
    kept = here.read(FIRST_RUNS) or {}
    for phase in phases:
        is_over = phase.state == "done" and phase.began and phase.since and phase.began <= phase.since
        if phase.name in AGAIN and phase.name not in kept and is_over:
            kept[phase.name] = [phase.began, phase.since]
            here.write(FIRST_RUNS, json.dumps(kept))
    return [
        replace(phase, began=kept[phase.name][0], since=kept[phase.name][1])
        if phase.name in kept and phase.state == "done"
        else phase
        for phase in phases
    ]


def spans(phases: Sequence[Phase]) -> list[dict[str, Any]]:
    """Give what was begun, in the order of beginning: name, begin, end where it is over, what came before, waits."""
    names = {phase.unit: phase.name.removesuffix(".service").removeprefix("hardway-") for phase in phases}
    longest = sorted(waits(), key=lambda wait: wait[1] - wait[2])[:MOST]
    fetched = (wait for wait in longest if wait[0] == IMAGES)
    begun = sorted(
        ((phase.began, phase) for phase in phases if phase.began is not None and phase.name not in NO_BOOT),
        key=lambda one: one[0],
    )
    told = list(_before(begun[0][0])) if begun else []
    for began, phase in begun:
        ended = phase.since if phase.state == "done" else None
        after = [names[unit] for unit in phase.after if unit in names]
        own = sorted(wait[1:] for wait in longest if wait[0] == phase.unit)
        told.append(_told(names[phase.unit], began, ended, after, own))
    return told + [
        _told(f"image {image}", began, ended) for _, began, ended, image in sorted(fetched, key=lambda one: one[1])
    ]


def _before(first: float) -> Iterator[dict[str, Any]]:
    """Give what passes before the first step of ours: systemd's beginning, and cloud-init."""
    began, cloud = _beginning()
    if began < cloud < first:
        yield _told("systemd", began, cloud)
        yield _told("cloud-init", cloud, first, ["systemd"])


@cache
def _beginning() -> tuple[float, float]:
    """Ask systemd once when it began, and when cloud-init did."""
    text = here.run("systemctl", "show", "--property=UserspaceTimestampMonotonic")
    began = int(text.partition("=")[2] or 0) / 1e6
    text = here.run("systemctl", "show", "--property=InactiveExitTimestampMonotonic", FIRST)
    return began, int(text.partition("=")[2] or 0) / 1e6


def _told(
    name: str,
    began: float,
    ended: float | None,
    after: Sequence[str] = (),
    waits: Sequence[tuple[float, float, str]] = (),
) -> dict[str, Any]:
    told = [{"began": stamp(start), "ended": stamp(end), "for": what} for start, end, what in waits]
    return {"name": name, "began": stamp(began), "ended": stamp(ended), "after": [*after], "waits": told}
