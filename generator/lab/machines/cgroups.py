"""Makes, fills and removes the lab's own subtrees of the host's cgroup hierarchies, and touches nothing above them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from generator.lab.machines import borrowed
from generator.lab.process import Process
from generator.lab.state import CGROUP, CGROUPS_DIRECTORY, State

# what kubelet and containerd in a droplet want to find delegated
_V2_CONTROLLERS = ("cpu", "cpuset", "io", "memory", "pids")


@dataclass(frozen=True)
class Hierarchy:
    """One mounted cgroup hierarchy."""

    directory: Path
    version: int
    controllers: tuple[str, ...]

    @property
    def labs(self) -> Path:
        """The subtree of all labs."""
        return self.directory / CGROUP

    def lab(self, state: State) -> Path:
        """Give the subtree of one lab."""
        return self.labs / state.name


def hierarchies() -> tuple[Hierarchy, ...]:
    """Find what is mounted below /sys/fs/cgroup: one unified hierarchy, or one for each version 1 controller."""
    return parse(Path("/proc/self/mountinfo").read_text())


def parse(mountinfo: str) -> tuple[Hierarchy, ...]:
    """Read the hierarchies out of a mountinfo file.

    Source: https://www.kernel.org/doc/html/latest/filesystems/proc.html#proc-pid-mountinfo-information-about-mounts
    """
    found = {}
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        directory = Path(before.split()[4])
        kind, _, options = after.split()[:3]
        if directory != CGROUPS_DIRECTORY and CGROUPS_DIRECTORY not in directory.parents:
            continue
        if kind == "cgroup2":
            found[directory] = Hierarchy(directory, 2, ())
        elif kind == "cgroup":
            controllers = tuple(option for option in options.split(",") if option not in ("rw", "ro", "xattr"))
            found[directory] = Hierarchy(directory, 1, controllers)
    return tuple(found[directory] for directory in sorted(found))


def is_unified() -> bool:
    """Say whether the host has cgroup version 2 alone."""
    return all(hierarchy.version == 2 for hierarchy in hierarchies())


def make(state: State, name: str, memory_bytes: int | None = None) -> tuple[Path, ...]:
    """Make one group in every hierarchy, limited in memory, and give the directories."""
    directories = []
    for hierarchy in hierarchies():
        lab = hierarchy.lab(state)
        directory = lab / name
        for path in (hierarchy.labs, lab, directory):
            path.mkdir(mode=0o755, exist_ok=True)
            if "cpuset" in hierarchy.controllers:
                _inherit_cpuset(path)
        if hierarchy.version == 2 and is_unified():
            _delegate(state, hierarchy)
            if memory_bytes is not None:
                (directory / "memory.max").write_text(str(memory_bytes))
        if "memory" in hierarchy.controllers and memory_bytes is not None:
            (directory / "memory.limit_in_bytes").write_text(str(memory_bytes))
        directories.append(directory)
    return tuple(directories)


def enter(directories: tuple[Path, ...], pid: int) -> None:
    """Move a process, and so all it will start, into a group made by `make`."""
    for directory in directories:
        (directory / "cgroup.procs").write_text(str(pid))


def processes(state: State, name: str = "") -> tuple[Process, ...]:
    """List the live processes of one group of a lab, or of all of it."""
    pids: set[int] = set()
    for hierarchy in hierarchies():
        for directory in _tree(hierarchy.lab(state) / name):
            try:
                pids.update(int(line) for line in (directory / "cgroup.procs").read_text().split())
            except (FileNotFoundError, OSError):
                continue  # removed while we walked, or threaded
    found = (Process.find(pid) for pid in pids if pid)
    return tuple(sorted(process for process in found if process is not None))


def groups(state: State, name: str = "") -> tuple[Path, ...]:
    """List the directories of one group of a lab, or of all of it, the deepest first."""
    return tuple(directory for hierarchy in hierarchies() for directory in _tree(hierarchy.lab(state) / name))


def remove(state: State, name: str = "") -> None:
    """Remove one empty group, or the whole lab's; what still holds processes stays."""
    for directory in groups(state, name):
        try:
            directory.rmdir()
        except OSError:
            continue  # gone already, or busy: the caller asks `groups` what is left
    if not name:
        for hierarchy in hierarchies():
            with suppress(OSError):  # it was the last lab's, or isn't
                hierarchy.labs.rmdir()


def _tree(directory: Path) -> Iterator[Path]:
    if directory.is_dir():
        for parent, _, _ in os.walk(directory, topdown=False):
            yield Path(parent)


def _inherit_cpuset(directory: Path) -> None:
    # a new version 1 cpuset is empty, and no process can enter it
    for name in ("cpuset.cpus", "cpuset.mems"):
        (directory / name).write_text((directory.parent / name).read_text())
    (directory / "cgroup.clone_children").write_text("1")


def _delegate(state: State, hierarchy: Hierarchy) -> None:
    for directory in (hierarchy.directory, hierarchy.labs, hierarchy.lab(state)):
        available = (directory / "cgroup.controllers").read_text().split()
        enabled = (directory / "cgroup.subtree_control").read_text().split()
        missing = [name for name in _V2_CONTROLLERS if name in available and name not in enabled]
        if not missing:
            continue
        if directory == hierarchy.directory:
            borrowed.note(state, "controllers", missing)
        (directory / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in missing))
