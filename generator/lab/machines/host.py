"""What of a lab is on the host, and how all of it goes away again."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from generator.errors import Problem
from generator.lab.machines import borrowed, cgroups, network
from generator.lab.machines.machine import forget, machine_names
from generator.lab.process import Process, all_pids, run, wait_until_gone
from generator.lab.state import State, namespace_path, read_record

DAEMON_RECORD = "daemon.json"
_KILL_ROUNDS = 5
_KILL_SECONDS = 5.0


@dataclass(frozen=True, order=True)
class Leftover:
    """One thing on the host that a lab made."""

    kind: Literal["process", "mount", "namespace", "cgroup", "loop device", "file"]
    what: str

    def __str__(self) -> str:
        """Say it in one line."""
        return f"{self.kind} {self.what}"


def leftovers(state: State) -> tuple[Leftover, ...]:
    """List what is on the host of this lab, running or left by a crash; empty when there never was one."""
    found = [Leftover("process", f"{process.pid} ({_command(process.pid)})") for process in processes(state)]
    found += [Leftover("mount", mount) for mount in _mounts(state)]
    found += [Leftover("namespace", name) for name in state.namespaces]
    found += [Leftover("cgroup", str(path)) for each in cgroups.hierarchies() if (path := each.lab(state)).is_dir()]
    found += [Leftover("loop device", device) for device in _loop_devices(state)]
    found += [Leftover("file", str(path)) for path in (*machine_names(state), *borrowed.left(state))]
    if state.is_claimed:
        found.append(Leftover("file", str(state.directory)))
    return tuple(sorted(found))


def daemon(state: State) -> Process | None:
    """Find the lab's daemon, if it runs."""
    record = read_record(state.directory / DAEMON_RECORD)
    process = None if record is None else Process.from_record(record)
    return process if process is not None and process.is_alive else None


def processes(state: State) -> tuple[Process, ...]:
    """Find the lab's processes by the cgroups and network namespaces they are in, except the caller's own.

    A daemon that has just been started is in none of them yet; whoever started it has noted it.
    """
    namespaces = {_namespace_id(namespace_path(name)) for name in state.namespaces} - {None}
    inside = {pid for pid in all_pids() if _namespace_id(Path(f"/proc/{pid}/ns/net")) in namespaces}
    found = {process for pid in inside if (process := Process.find(pid)) is not None}
    found.update(cgroups.processes(state))
    if (started := daemon(state)) is not None:
        found.add(started)
    return tuple(sorted(process for process in found if process.pid != os.getpid()))


def cleanup(state: State) -> None:
    """Remove all of the lab but the cache, whatever state it is in; safe to repeat and to interrupt.

    Raises:
        Problem: something would not go; the message names it.
    """
    for _ in range(_KILL_ROUNDS):
        found = processes(state)
        for process in found:
            process.kill()
        if not wait_until_gone(found, _KILL_SECONDS) and not processes(state):
            break
    for mount in _mounts(state):
        run(["umount", "--lazy", mount])
    for device in _loop_devices(state):
        run(["losetup", "--detach", device])
    if state.is_claimed:
        network.destroy(state)
    else:
        # a lab whose directory somebody removed
        network.remove_namespaces(state)
    cgroups.remove(state)
    forget(state)
    if state.is_claimed:
        shutil.rmtree(state.directory)
    borrowed.give_back(state)
    remaining = leftovers(state)
    if remaining:
        raise Problem(f"left behind: {', '.join(map(str, remaining))}")


def _mounts(state: State) -> tuple[str, ...]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = [line.split(" ", 5)[4].replace("\\040", " ") for line in lines]
    ours = f"{state.directory}/"
    # the deepest first, so that each can be unmounted in turn
    return tuple(point for point in reversed(points) if point.startswith(ours))


def _loop_devices(state: State) -> tuple[str, ...]:
    found = []
    for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            if backing.read_text().startswith(f"{state.directory}/"):
                found.append(f"/dev/{backing.parent.parent.name}")
        except OSError:
            continue  # detached while we looked
    return tuple(sorted(found))


def _namespace_id(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_dev, status.st_ino)


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return "ended"
