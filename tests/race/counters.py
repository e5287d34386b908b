"""Counts what a lab's droplets have used: seconds of processors, and bytes that were sent to them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from ipaddress import IPv4Address

from generator.lab.account.requests import API_HOST
from generator.lab.machines.machine import Machine
from generator.lab.state import CGROUP, CGROUPS_DIRECTORY, FIRST_DROPLET_ADDRESS, LAST_DROPLET_ADDRESS, State


def processor_seconds(state: State) -> float:
    """Sum up what the processes of all droplets have had of the machine's processors.

    Source: docs.kernel.org/admin-guide/cgroup-v1/cpuacct.html, docs.kernel.org/admin-guide/cgroup-v2.html
    """
    # two controllers of version 1 may be one hierarchy under two names
    first = {path.resolve() for path in CGROUPS_DIRECTORY.glob(f"*/{CGROUP}/{state.name}/hardway-*/cpuacct.usage")}
    if first:
        return sum(int(path.read_text()) for path in first) / 1e9
    used = 0
    for path in CGROUPS_DIRECTORY.glob(f"{CGROUP}/{state.name}/hardway-*/cpu.stat"):
        used += int(dict(line.split() for line in path.read_text().splitlines())["usage_usec"])
    return used / 1e6


def fetched_bytes(state: State) -> int:
    """Sum up what download hosts, registries and Spaces have sent to droplets."""
    with (state.directory / "logs" / "front.jsonl").open() as lines:
        return sent(lines)


def sent(lines: Iterable[str]) -> int:
    """Sum up the bytes of a front's log that went to droplets, the provider's API aside."""
    total = 0
    for line in lines:
        if not line.endswith("}\n"):
            continue  # being written
        answer = json.loads(line)
        is_droplet = FIRST_DROPLET_ADDRESS <= IPv4Address(answer["client"]) <= LAST_DROPLET_ADDRESS
        if is_droplet and answer["host"] != API_HOST:
            total += int(answer["bytes"])
    return total


def first_start(state: State) -> float:
    """Tell when the first machine was switched on, in seconds of the epoch."""
    return min((machine.directory / "launcher.json").stat().st_mtime for machine in Machine.all(state))
