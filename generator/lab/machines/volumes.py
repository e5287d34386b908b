"""The disks behind volumes: a sparse file each, a loop device while a machine has it, and its names inside."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from generator.files import make_private_directory
from generator.lab.process import run
from generator.lab.state import State

BY_ID = "dev/disk/by-id"
_LOOP_MAJOR = 7


def image(state: State, identifier: str) -> Path:
    """Give the file that holds a volume's content."""
    return state.volumes / f"{identifier}.img"


def provide(state: State, identifier: str, gib: int) -> Path:
    """Make a volume's file, blank, or let one that is there grow; it never shrinks."""
    make_private_directory(state.volumes)
    path = image(state, identifier)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if os.fstat(descriptor).st_size < gib << 30:
            os.ftruncate(descriptor, gib << 30)
    finally:
        os.close(descriptor)
    return path


def keep(state: State, identifiers: Iterable[str]) -> None:
    """Remove the files of all other volumes."""
    kept = {image(state, identifier) for identifier in identifiers}
    for path in state.volumes.glob("*.img") if state.volumes.is_dir() else ():
        if path not in kept and not devices(path):
            path.unlink(missing_ok=True)


def devices(path: Path) -> list[str]:
    """List the loop devices of a file."""
    listed = run(["losetup", "--noheadings", "--output=NAME", "--associated", str(path)])
    return [line.strip() for line in listed.splitlines() if line.strip()]


def lend(path: Path) -> str | None:
    """Give a file a loop device; None while it has one still, which then goes as soon as nobody uses it."""
    if held := devices(path):
        for device in held:
            give_back(device)
        return None
    return run(["losetup", "--find", "--show", str(path)]).strip()


def give_back(device: str) -> None:
    """Let a loop device go, now or when nobody uses it any more; one that is gone is no mistake."""
    if _is_lent(device):
        run(["losetup", "--detach", device])


def grow(device: str) -> None:
    """Let a loop device see that its file has grown."""
    run(["losetup", "--set-capacity", device])


def show(root: Path, name: str, device: str) -> None:
    """Let a running machine find a volume as the provider's machines do: a disk, and its stable path.

    Source: https://docs.digitalocean.com/products/volumes/how-to/mount/ (`/dev/disk/by-id/scsi-0DO_Volume_<name>`)
    """
    letter = next(one for one in map(chr, range(ord("a"), ord("z") + 1)) if not (root / f"dev/sd{one}").exists())
    number = os.makedev(_LOOP_MAJOR, os.minor(Path(device).stat().st_rdev))
    os.mknod(root / f"dev/sd{letter}", stat.S_IFBLK | 0o660, number)
    link = _link(root, name)
    link.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(f"../../sd{letter}")


def hide(root: Path, name: str) -> None:
    """Take the disk away again."""
    link = _link(root, name)
    if link.is_symlink():
        (root / "dev" / link.readlink().name).unlink(missing_ok=True)
        link.unlink()


def _link(root: Path, name: str) -> Path:
    return root / BY_ID / f"scsi-0DO_Volume_{name}"


def _is_lent(device: str) -> bool:
    return Path(f"/sys/block/{Path(device).name}/loop/backing_file").exists()
