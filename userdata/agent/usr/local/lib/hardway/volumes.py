"""Mounts this node's volumes: waits for disks, formats blank ones, refuses what is somebody else's; and grows them."""

from __future__ import annotations

import os
import stat
from typing import Any

from hardway import here, mounted
from hardway.filesystem import CHECK_SECONDS, KINDS, ended
from hardway.filesystem import grow as enlarge
from hardway.here import Failure, Terminal
from hardway.waiting import patiently

# A volume that comes with its droplet is attached once that is up.
PATIENCE_SECONDS, PAUSE_SECONDS = 300, 2
NOTHING_FOUND = 2  # blkid's exit status for a disk without anything that it knows
EDGE_BYTES = 1 << 20
# Says of a volume that it was blank, and that this node began to format it: a power cut leaves half of that.
BEGUN = "/var/lib/hardway/formatting-"
# What is left of a file system whose beginning is lost: ext4 has copies of its superblock at odd multiples of this, xfs
# one at the beginning of each quarter of a volume.
STEP_BYTES, SAMPLE_BYTES = 128 << 20, 4096


def step() -> None:
    """Mount each planned volume; what is mounted already stays so."""
    for volume in mounted.planned():
        if mounted.options(volume) is None:
            mount(volume)
        found = mounted.use(volume)
        if found.trouble:
            raise useless(found.name, found.trouble)
        is_full = found.percent >= mounted.FULL_PERCENT
        print(f"volume {found.name} is mounted" + (f", and {found.percent} % full" if is_full else ""), flush=True)


def grow() -> None:
    """Let each mounted volume fill its disk, which may have grown while the node runs."""
    failures = []
    for volume in mounted.planned():
        if mounted.options(volume) is None:
            continue
        try:
            size = enlarge(volume["filesystem"], volume["device"], str(here.at(mounted.place(volume))))
        except Failure as failure:
            failures.append(f"volume {volume['name']} can't grow: {failure}")
            continue
        if size is not None:
            print(f"volume {volume['name']} has grown to {size >> 30} GiB", flush=True)
    if failures:
        raise Failure("; ".join(failures))


def mount(volume: dict[str, Any]) -> None:
    """Wait for the disk, make sure what is on it, and mount it."""
    name, device, kind = volume["name"], volume["device"], volume["filesystem"]
    patiently(lambda: expect_disk(name, device), PATIENCE_SECONDS, PAUSE_SECONDS)
    if here.run("blockdev", "--getro", device).strip() != "0":
        raise useless(name, "read-only")
    filesystem = KINDS[kind]
    found, begun = content(device), here.at(f"{BEGUN}{volume['uuid']}")
    if found is None or (begun.exists() and is_half(volume, found)):
        print(f"volume {name} is blank: it is formatted", flush=True)
        here.write(str(begun.relative_to(here.ROOT)), name)
        # The planned UUID says later whose it is.
        here.run(*filesystem.make(name, volume["uuid"], device), timeout=CHECK_SECONDS)
    else:
        refuse_another_s(volume, found)
        filesystem.settle(name, device)
    if begun.exists():
        begun.unlink()
        os.sync()  # before anything is written there: a volume is never taken for half formatted again
    place = here.at(mounted.place(volume))
    place.mkdir(parents=True, exist_ok=True)
    argv = ("mount", f"--types={kind}", f"--options={filesystem.options}", device, str(place))
    try:
        here.run(*argv, timeout=CHECK_SECONDS)
    except Failure:
        filesystem.judge(name, device)  # says what the kernel does not like, where it can't be repaired
        here.run(*argv, timeout=CHECK_SECONDS)


def is_half(volume: dict[str, Any], found: dict[str, str]) -> bool:
    """Tell whether a disk holds what is left where its formatting was cut off: ours, or nothing that has a name."""
    if found.get("UUID") == volume["uuid"]:
        return not KINDS[volume["filesystem"]].is_whole(volume["device"])
    return not {"UUID", "PTTYPE"} & found.keys()


def useless(name: str, trouble: str) -> Failure:
    """Say that a volume takes nothing."""
    return Failure(f"volume {name} is {trouble}: is it damaged, or attached so?")


def expect_disk(name: str, device: str) -> None:
    """Fail as long as the disk is not there."""
    try:
        is_disk = stat.S_ISBLK(here.at(device).stat().st_mode)
    except FileNotFoundError:
        is_disk = False
    if not is_disk:
        raise Failure(f"volume {name} is not attached: there is no {device}")


def content(device: str) -> dict[str, str] | None:
    """Tell what is on a disk; None where it is blank: nothing that is known, and nothing where anything would be."""
    done = ended("blkid", "--probe", "--output", "export", device)
    if done.returncode == 0:
        return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    if done.returncode != NOTHING_FOUND:
        return {"TYPE": "something that has several meanings"}
    return None if is_blank(device) else {"TYPE": "something that is no file system"}


def is_blank(device: str) -> bool:
    """Tell whether a disk holds nothing but zeros where file systems, their copies and signatures begin or end."""
    with here.at(device).open("rb") as disk:
        size = disk.seek(0, os.SEEK_END)
        samples = ((place, SAMPLE_BYTES) for place in range(0, size, STEP_BYTES))
        for place, length in ((0, EDGE_BYTES), (max(0, size - EDGE_BYTES), EDGE_BYTES), *samples):
            disk.seek(place)
            if disk.read(length).strip(b"\0"):
                return False
    return True


def refuse_another_s(volume: dict[str, Any], found: dict[str, str]) -> None:
    """Raise what says that a disk is not this volume; it is left as it is."""
    name, uuid, planned = volume["name"], volume["uuid"], volume["filesystem"]
    kind = found.get("TYPE") or found.get("PTTYPE", "something") + " partitions"
    if kind != planned:
        raise Terminal(f"volume {name} holds {kind}, and {planned} is planned: it is left as it is")
    if found.get("UUID") != uuid:
        raise Terminal(
            f"volume {name} holds another's file system ({found.get('UUID')}, not {uuid}): it is left as it is"
        )
