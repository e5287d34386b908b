"""Runs commands inside a machine to their end, and finds its first process: what only tests ask for."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from generator.errors import Problem
from generator.lab.machines.machine import Machine


def execute(
    machine: Machine, argv: Sequence[str], *, text: str | None = None, timeout_seconds: float | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command inside to its end; the caller looks at its return code.

    Raises:
        Problem: the machine is off.
        subprocess.TimeoutExpired: the command took longer than it may.
    """
    return subprocess.run(
        machine.command(argv),
        input="" if text is None else text,
        text=True,
        errors="replace",
        capture_output=True,
        check=False,
        timeout=timeout_seconds,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
    )


def first_process(machine: Machine) -> int | None:
    """Give the machine's first process, as the host numbers it; None when the machine is off."""
    try:
        target = machine.command(["true"])[1]
    except Problem:
        return None
    return int(target.removeprefix("--target="))


def cut_power_and_boot(machine: Machine) -> None:
    """Cut the power and switch on again with the same disk and addresses."""
    machine.kill()
    machine.boot()
