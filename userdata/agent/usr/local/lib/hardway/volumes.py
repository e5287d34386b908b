"""Mounts this node's volumes: waits for the disks, formats blank ones, and refuses what is somebody else's."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator
from typing import Any

from hardway import here
from hardway.here import Failure, Terminal
from hardway.waiting import patiently

PLANNED = "/etc/hardway/volumes.json"
MOUNTED = "/var/lib/hardway/volumes"
MOUNTS = "/proc/self/mounts"
TYPE = "ext4"
OPTIONS = "nodev,nosuid,noatime"
# A volume that comes with its droplet is attached once that is up.
PATIENCE_SECONDS, PAUSE_SECONDS = 300, 2
CHECK_SECONDS = 1800
NOTHING_FOUND = 2  # blkid's exit status for a disk without anything that it knows
CORRECTED = (0, 1)  # e2fsck's, when all is well, or was made so
EDGE_BYTES = 1 << 20


def step() -> None:
    """Mount each planned volume; what is mounted already stays so."""
    for volume in here.read(PLANNED) or ():
        if not mounted(volume):
            mount(volume)
        if not is_writable(volume):
            raise Failure(f"volume {volume['name']} is read-only: is it damaged, or attached so?")
        print(f"volume {volume['name']} is mounted", flush=True)


def mount(volume: dict[str, Any]) -> None:
    """Wait for the disk, make sure what is on it, let it fill the disk, and mount it."""
    name, device = volume["name"], volume["device"]
    patiently(lambda: expect_disk(name, device), PATIENCE_SECONDS, PAUSE_SECONDS)
    found = content(device)
    if found is None:
        make(name, device, volume["uuid"])
    else:
        refuse_another_s(name, volume["uuid"], found)
        check(name, device)
        if is_larger(device):
            check(name, device, "-f")  # resize2fs demands it
            here.run("resize2fs", device, timeout=CHECK_SECONDS)
    place = here.at(f"{MOUNTED}/{name}")
    place.mkdir(parents=True, exist_ok=True)
    argv = ("mount", f"--types={TYPE}", f"--options={OPTIONS}", device, str(place))
    try:
        here.run(*argv)
    except Failure:
        check(name, device, "-f")  # says what the kernel does not like, where it can't be repaired
        here.run(*argv)


def mounted(volume: dict[str, Any]) -> bool:
    """Tell whether a file system is mounted where a volume belongs."""
    return any(place == f"{MOUNTED}/{volume['name']}" for place, _ in mounts())


def is_writable(volume: dict[str, Any]) -> bool:
    """Tell whether a mounted volume takes anything: the kernel makes a damaged one read-only by itself."""
    return any(place == f"{MOUNTED}/{volume['name']}" and "rw" in options for place, options in mounts())


def mounts() -> Iterator[tuple[str, list[str]]]:
    """List what is mounted where, and how."""
    for line in here.at(MOUNTS).read_text().splitlines():
        _, place, _, options, *_ = line.split(" ")
        yield place, options.split(",")


def expect_disk(name: str, device: str) -> None:
    """Fail as long as the disk is not there."""
    try:
        is_disk = stat.S_ISBLK(here.at(device).stat().st_mode)
    except FileNotFoundError:
        is_disk = False
    if not is_disk:
        raise Failure(f"volume {name} is not attached: there is no {device}")


def content(device: str) -> dict[str, str] | None:
    """Tell what is on a disk; None where it is blank: nothing that is known, and nothing at either end."""
    done = ended("blkid", "--probe", "--output", "export", device)
    if done.returncode == 0:
        return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    if done.returncode != NOTHING_FOUND:
        return {"TYPE": "something that has several meanings"}
    return None if is_blank(device) else {"TYPE": "something that is no file system"}


def is_blank(device: str) -> bool:
    """Tell whether a disk holds nothing but zeros where file systems, tables and signatures begin or end."""
    with here.at(device).open("rb") as disk:
        size = disk.seek(0, os.SEEK_END)
        for place in (0, max(0, size - EDGE_BYTES)):
            disk.seek(place)
            if disk.read(EDGE_BYTES).strip(b"\0"):
                return False
    return True


def make(name: str, device: str, uuid: str) -> None:
    """Format a blank disk; the planned UUID says later whose it is."""
    print(f"volume {name} is blank: it is formatted", flush=True)
    here.run(f"mkfs.{TYPE}", "-q", "-F", "-L", name[:16], "-U", uuid, device, timeout=CHECK_SECONDS)


def refuse_another_s(name: str, uuid: str, found: dict[str, str]) -> None:
    """Raise what says that a disk is not this volume; it is left as it is."""
    kind = found.get("TYPE") or found.get("PTTYPE", "something") + " partitions"
    if kind != TYPE:
        raise Terminal(f"volume {name} holds {kind}, no {TYPE}: it is left as it is")
    if found.get("UUID") != uuid:
        raise Terminal(
            f"volume {name} holds another's file system ({found.get('UUID')}, not {uuid}): it is left as it is"
        )


def is_larger(device: str) -> bool:
    """Tell whether a disk has grown beyond its file system."""
    superblock = dict(line.split(":", 1) for line in here.run("dumpe2fs", "-h", device).splitlines() if ":" in line)
    block = int(superblock["Block size"])
    with here.at(device).open("rb") as disk:
        return disk.seek(0, os.SEEK_END) // block > int(superblock["Block count"])


def ended(*argv: str) -> subprocess.CompletedProcess[str]:
    """Run a command whose exit status says more than that it failed."""
    try:
        return subprocess.run(argv, capture_output=True, text=True, timeout=CHECK_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failure(f"`{argv[0]}`: {type(error).__name__}") from None


def check(name: str, device: str, *how: str) -> None:
    """Repair what can be repaired without a question, as after a power cut; a clean one is left alone unless `-f`."""
    done = ended("e2fsck", "-p", *how, device)
    if done.returncode not in CORRECTED:
        said = " ".join((done.stdout + done.stderr).split())[-400:]
        raise Terminal(f"volume {name} is damaged: {said}")
