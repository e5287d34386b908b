"""Copies of droplets' disks, and the disks that are made of them: a layer each, below whatever a droplet writes."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from generator.files import make_private_directory
from generator.lab.process import run
from generator.lab.state import State, read_record, write_record

CONTAINERD = "var/lib/containerd"
OWN_DIRECTORIES = (CONTAINERD, "var/lib/kubelet")
"""What lies on the host's disk itself: overlayfs cannot lie on overlayfs, and both mount one."""
CONFIG_DRIVE = "var/lib/cloud/seed/config_drive"
"""Where cloud-init looks for a config drive that is a directory; one of the provider's is no part of the disk.
Source: https://cloudinit.readthedocs.io/en/latest/reference/datasources/configdrive.html"""
# Content and unpacked layers, which containerd never changes once they are there; all the rest is copied.
_UNCHANGING = ("io.containerd.content.v1.content/blobs", "io.containerd.snapshotter.v1.overlayfs/snapshots")


def place(state: State, number: int) -> Path:
    """Give the directory of a snapshot, made or not."""
    return state.snapshots / str(number)


def take(state: State, number: int, disk: Path, below: Sequence[Path]) -> float:
    """Copy the disk of a droplet that is off, unless that is done, and give its own part in GB.

    Args:
        disk: the droplet's directory, with `upper` and `own`.
        below: the layers of the snapshots that the droplet itself was made of, the uppermost first.
    """
    target = place(state, number)
    if not target.is_dir():
        make_private_directory(state.snapshots)
        for stale in state.snapshots.glob("tmp-*"):
            shutil.rmtree(stale)
        temporary = Path(tempfile.mkdtemp(prefix="tmp-", dir=state.snapshots))
        for name in ("upper", "own"):
            run(["cp", "--archive", "--reflink=auto", str(disk / name), str(temporary / name)])
        shutil.rmtree(temporary / "upper" / CONFIG_DRIVE, ignore_errors=True)
        write_record(temporary / "snapshot.json", {"below": [str(path) for path in below]})
        temporary.rename(target)
    return _bytes(target) / 1e9


def layers(state: State, number: int) -> tuple[Path, ...]:
    """Give the layers that a droplet made of a snapshot has below what it writes, the uppermost first."""
    record = read_record(place(state, number) / "snapshot.json") or {"below": []}
    return (place(state, number) / "upper", *map(Path, record["below"]))


def fill(state: State, number: int, own: Path) -> None:
    """Give a droplet its own directories as a snapshot has them.

    containerd's content and layers, some hundred MB that nobody changes, are linked: the copy that the provider makes
    costs a droplet there nothing.
    """
    source = place(state, number) / "own"
    for name in OWN_DIRECTORIES:
        target = own / name
        for entry in (source / name).iterdir():
            parts = [one for one in _UNCHANGING if name == CONTAINERD and one.partition("/")[0] == entry.name]
            if not parts:
                run(["cp", "--archive", "--reflink=auto", str(entry), str(target)])
                continue
            (target / entry.name).mkdir(mode=entry.stat().st_mode & 0o7777)
            for child in entry.iterdir():
                how = "--link" if f"{entry.name}/{child.name}" in parts else "--reflink=auto"
                run(["cp", "--archive", how, str(child), str(target / entry.name)])


def keep(state: State, numbers: Iterable[int], used: Iterable[Path]) -> None:
    """Remove all other snapshots, but for those of which something stands upon a layer.

    Args:
        numbers: those that the account has.
        used: the layers of all machines.
    """
    if not state.snapshots.is_dir():
        return
    known = {place(state, number) for number in numbers}
    standing = {layer.parent for number in numbers for layer in layers(state, number)} | {one.parent for one in used}
    for path in state.snapshots.iterdir():
        if path.name.isdecimal() and path not in known | standing:
            shutil.rmtree(path, ignore_errors=True)


def _bytes(directory: Path) -> int:
    return sum(
        (Path(parent) / name).lstat().st_blocks * 512 for parent, _, names in os.walk(directory) for name in names
    )
