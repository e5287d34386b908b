"""The two file systems that a volume may have: how each is made, held against itself, and grown while it is mounted."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hardway import here
from hardway.here import Failure, Terminal

CHECK_SECONDS = 1800
CORRECTED = (0, 1)  # e2fsck's, when all is well, or was made so
DAMAGED = 1  # xfs_repair's, when it would have to mend something
# What xfs_repair says of its own way, beside what it finds.
PROGRESS = ("Phase ", "No modify flag", "Inode allocation btrees are too corrupted", "agno = ", " ")
SHOWN = 400


@dataclass(frozen=True)
class Filesystem:
    """One kind: mount options, and what is done to a disk of it.

    `make` gets label, UUID and disk; `is_whole` tells of a disk with our UUID whether that came to its end. `settle`
    makes a disk of ours fit to be mounted; `judge` is for one that the kernel refuses, and raises `Terminal` where only
    a person can mend it. `blocks` gives size and number of blocks of what is mounted, and `enlarge` the command that
    lets it fill its disk.
    """

    options: str
    make: Callable[[str, str, str], tuple[str, ...]]
    is_whole: Callable[[str], bool]
    settle: Callable[[str, str], None]
    judge: Callable[[str, str], None]
    blocks: Callable[[str, str], tuple[int, int]]
    enlarge: Callable[[str, str], tuple[str, ...]]


def grow(kind: str, device: str, place: str) -> int | None:
    """Let what is mounted fill a disk that has grown; give how many bytes it has then, None where nothing was to do."""
    filesystem = KINDS[kind]
    rescan(device)
    block, count = filesystem.blocks(device, place)
    if capacity(device) // block <= count:
        return None
    here.run(*filesystem.enlarge(device, place), timeout=CHECK_SECONDS)
    # The last few blocks of a disk may be too few to be of use.
    after = filesystem.blocks(device, place)[1]
    return block * after if after > count else None


def rescan(device: str) -> None:
    """Let the kernel ask the disk how large it is; not every kind of disk has a way to be asked."""
    with suppress(OSError):
        asked = Path("/sys/class/block") / here.at(device).resolve().name / "device/rescan"
        here.at(str(asked)).write_text("1")


def capacity(device: str) -> int:
    """Give a disk's size in bytes."""
    with here.at(device).open("rb") as disk:
        return disk.seek(0, os.SEEK_END)


def ended(*argv: str) -> subprocess.CompletedProcess[str]:
    """Run a command whose exit status says more than that it failed."""
    try:
        return subprocess.run(argv, capture_output=True, text=True, timeout=CHECK_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failure(f"`{argv[0]}`: {type(error).__name__}") from None


def _check_ext4(name: str, device: str, *how: str) -> None:
    """Repair what can be repaired without a question, as after a power cut; a clean one is left alone unless `-f`."""
    done = ended("e2fsck", "-p", *how, device)
    if done.returncode not in CORRECTED:
        raise Terminal(f"volume {name} is damaged: {' '.join((done.stdout + done.stderr).split())[-SHOWN:]}")


def _settle_ext4(name: str, device: str) -> None:
    """Check it, and let it fill a disk that grew meanwhile: what is not mounted needs no privilege for that."""
    _check_ext4(name, device)
    block, count = _blocks_ext4(device, "")
    if capacity(device) // block > count:
        _check_ext4(name, device, "-f")  # resize2fs demands it
        here.run("resize2fs", device, timeout=CHECK_SECONDS)


def _blocks_ext4(device: str, _: str) -> tuple[int, int]:
    superblock = dict(line.split(":", 1) for line in here.run("dumpe2fs", "-h", device).splitlines() if ":" in line)
    return int(superblock["Block size"]), int(superblock["Block count"])


def _is_whole_xfs(device: str) -> bool:
    """Look at `sb_inprogress`, which mkfs.xfs takes away at its end."""
    with here.at(device).open("rb") as disk:
        return disk.read(512)[126] == 0


def _judge_xfs(name: str, device: str) -> None:
    """Look without writing: mounting replays the log by itself, so what is refused all the same is not merely dirty."""
    done = ended("xfs_repair", "-n", device)
    if done.returncode == DAMAGED:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if not line.startswith(PROGRESS)]
        said = " ".join(" ".join(lines).split())[:SHOWN]
        raise Terminal(f"volume {name} is damaged, and is left as it is: {said}")


def _blocks_xfs(_: str, place: str) -> tuple[int, int]:
    found = re.search(r"^data +=\s*bsize=(\d+) +blocks=(\d+)", here.run("xfs_growfs", "-n", place), re.M)
    if found is None:
        raise Failure("`xfs_growfs -n` does not say how large the file system is")
    return int(found[1]), int(found[2])


# ext4 goes on after an error unless told; xfs never does.
KINDS: Mapping[str, Filesystem] = {
    "ext4": Filesystem(
        options="nodev,nosuid,noatime,errors=remount-ro",
        make=lambda label, uuid, device: ("mkfs.ext4", "-q", "-F", "-L", label, "-U", uuid, device),
        is_whole=lambda _: True,  # its superblock is written last
        settle=_settle_ext4,
        judge=lambda name, device: _check_ext4(name, device, "-f"),
        blocks=_blocks_ext4,
        enlarge=lambda device, _: ("resize2fs", device),
    ),
    "xfs": Filesystem(
        options="nodev,nosuid,noatime",
        make=lambda label, uuid, device: ("mkfs.xfs", "-q", "-f", "-L", label, "-m", f"uuid={uuid}", device),
        is_whole=_is_whole_xfs,
        settle=lambda _name, _device: None,
        judge=_judge_xfs,
        blocks=_blocks_xfs,
        enlarge=lambda _, place: ("xfs_growfs", "-d", place),
    ),
}
