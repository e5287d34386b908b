"""Volumes, judged by the real tools: blank ones are formatted, our own are mounted, and nobody else's is touched."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hardway import filesystem, here, mounted, volumes
from hardway.here import Failure, Terminal

UUID, OTHER = "5f1b8a3e-7f0f-5d63-9f4e-3a8a1d1c2b4d", "00000000-1111-5222-8333-444444444444"
MIB = 1 << 20


class Node:
    """A node whose disks are files, and whose mounts are noted."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.disk = directory / "disk"
        self.mounts: list[str] = []
        self._table = directory / "mounts"
        self._table.write_text("/dev/vda1 / ext4 rw,relatime 0 0\n")
        self.volume = {"name": "data", "device": str(self.disk), "uuid": UUID, "filesystem": "ext4"}
        planned = directory / "volumes.json"
        planned.write_text(json.dumps([self.volume]))
        monkeypatch.setattr(here, "ROOT", Path("/"))
        monkeypatch.setattr(mounted, "PLANNED", str(planned))
        monkeypatch.setattr(mounted, "VOLUMES", str(directory / "volumes"))
        monkeypatch.setattr(mounted, "MOUNTS", str(self._table))
        monkeypatch.setattr(volumes, "PATIENCE_SECONDS", 0)
        monkeypatch.setattr(volumes, "expect_disk", self._expect)
        real = here.run

        def run(*argv: str, **options: Any) -> str:
            if argv[0] == "blockdev":
                return "0\n"
            if argv[0] != "mount":
                return real(*argv, **options)
            if "clean" not in tool("dumpe2fs", "-h", str(self.disk)) or b"\xff" * 4096 in self.disk.read_bytes():
                raise Failure("`mount`: Structure needs cleaning")  # as the kernel says it
            self.mounts.append(argv[-1])
            self._table.write_text(f"{self._table.read_text()}{argv[-2]} {argv[-1]} ext4 {self.mode},nodev 0 0\n")
            return ""

        monkeypatch.setattr(here, "run", run)
        self.mode = "rw"

    def _expect(self, name: str, device: str) -> None:
        if not Path(device).exists():
            raise Failure(f"volume {name} is not attached: there is no {device}")

    def restart(self) -> None:
        self._table.write_text("/dev/vda1 / ext4 rw,relatime 0 0\n")

    def blank(self, mib: int = 16) -> None:
        with self.disk.open("wb") as file:
            file.truncate(mib * MIB)

    @property
    def digest(self) -> str:
        return sha256(self.disk.read_bytes()).hexdigest()


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    return Node(tmp_path, monkeypatch)


def tool(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def test_a_blank_one_is_formatted_once_and_mounted(node: Node) -> None:
    node.blank()
    volumes.step()
    assert f"UUID={UUID}" in tool("blkid", "--probe", "--output", "export", str(node.disk))
    assert node.mounts == [f"{mounted.VOLUMES}/data"]
    before = node.digest
    volumes.step()
    assert (node.mounts, node.digest) == ([f"{mounted.VOLUMES}/data"], before), "what is mounted stays so"


def test_a_clean_one_is_not_checked_as_a_whole_at_each_boot(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """That would take minutes on a large one, before any pod runs."""
    node.blank()
    volumes.step()
    node.restart()
    ran: list[tuple[str, ...]] = []
    real = filesystem.ended
    monkeypatch.setattr(filesystem, "ended", lambda *argv: ran.append(argv[:-1]) or real(*argv))
    volumes.step()
    assert ("e2fsck", "-p") in ran
    assert not any("-f" in argv for argv in ran)
    assert len(node.mounts) == 2


def test_our_own_is_kept_and_fills_its_disk(node: Node) -> None:
    node.blank()
    tool("mkfs.ext4", "-q", "-U", UUID, str(node.disk))
    tool("debugfs", "-w", "-R", f"write {__file__} kept", str(node.disk))
    with node.disk.open("r+b") as file:
        file.truncate(48 * MIB)
    volumes.step()
    assert "kept" in tool("debugfs", "-R", "ls -p", str(node.disk))
    facts = tool("dumpe2fs", "-h", str(node.disk))
    count, size = (
        int(next(x for x in facts.splitlines() if x.startswith(key)).split()[-1])
        for key in ("Block count", "Block size")
    )
    assert count * size == 48 * MIB


def _ext4(disk: str) -> None:
    tool("mkfs.ext4", "-q", "-U", OTHER, disk)


def _swap(disk: str) -> None:
    tool("mkswap", disk)


def _partitions(disk: str) -> None:
    entry = bytes([0, 0, 2, 0, 0x83, 0, 3, 0]) + (64).to_bytes(4, "little") + (1024).to_bytes(4, "little")
    with open(disk, "r+b") as file:  # noqa: PTH123
        file.seek(446)
        file.write(entry + bytes(48) + b"\x55\xaa")


def _bytes_at(place: int) -> Callable[[str], None]:
    def write(disk: str) -> None:
        with open(disk, "r+b") as file:  # noqa: PTH123
            file.seek(place)
            file.write(b"somebody's data")

    return write


@pytest.mark.parametrize(
    ("fill", "said"),
    [
        (_ext4, f"holds another's file system ({OTHER}, not {UUID})"),
        (_swap, "holds swap, and ext4 is planned"),
        (_partitions, "holds dos partitions, and ext4 is planned"),
        (_bytes_at(0), "holds something that is no file system, and ext4 is planned"),
        (_bytes_at(100_000), "holds something that is no file system, and ext4 is planned"),
        (_bytes_at(16 * MIB - 100), "holds something that is no file system, and ext4 is planned"),
    ],
    ids=["another ext4", "swap", "partitions", "bytes", "bytes later", "bytes at the end"],
)
def test_somebody_else_s_is_left_as_it_is(node: Node, fill: Callable[[str], None], said: str) -> None:
    node.blank()
    fill(str(node.disk))
    before = node.digest
    with pytest.raises(Terminal, match="volume data ") as caught:
        volumes.step()
    assert said in str(caught.value)
    assert str(caught.value).endswith("it is left as it is")
    assert (node.digest, node.mounts) == (before, [])


def test_one_that_is_damaged_beyond_repair_is_not_mounted(node: Node) -> None:
    node.blank()
    tool("mkfs.ext4", "-q", "-U", UUID, str(node.disk))
    with node.disk.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 65536)
    with pytest.raises(Terminal, match="volume data is damaged: "):
        volumes.step()
    assert node.mounts == []


def test_one_that_is_not_attached_is_waited_for(node: Node) -> None:
    with pytest.raises(Failure, match=f"volume data is not attached: there is no {node.disk}") as caught:
        volumes.step()
    assert not isinstance(caught.value, Terminal)


def test_one_that_takes_nothing_is_a_failure(node: Node) -> None:
    node.blank()
    node.mode = "ro"
    with pytest.raises(Failure, match="volume data is read-only"):
        volumes.step()


def test_only_a_disk_is_one(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(Failure, match="is not attached"):
            volumes.expect_disk("data", str(path))


@pytest.mark.parametrize(
    ("used", "free", "percent"),
    [(0, 0, 0), (0, 100, 0), (1, 999, 10), (50, 50, 50), (51, 49, 60), (899, 101, 90), (901, 99, 91), (100, 0, 100)],
)
def test_use_is_told_in_steps(used: int, free: int, percent: int) -> None:
    assert mounted.share(used, free) == percent


@pytest.mark.parametrize(
    ("options", "trouble"),
    [
        ("rw,noatime", ""),
        ("ro,noatime", "read-only"),
        ("rw,noatime,emergency_ro", "read-only"),
        ("rw,noatime,shutdown", "read-only"),
    ],
)
def test_what_the_kernel_has_stopped_is_told(node: Node, options: str, trouble: str) -> None:
    node.blank()
    volumes.step()
    Path(mounted.MOUNTS).write_text(f"/dev/sda {mounted.VOLUMES}/data ext4 {options} 0 0\n")
    assert [one.trouble for one in mounted.uses()] == [trouble]


def test_what_is_not_mounted_is_not_told(node: Node) -> None:
    assert mounted.uses() == []
    assert mounted.trouble(node.volume) == "not mounted"


def test_a_disk_is_asked_how_large_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel may not have heard that it has grown."""
    asked = tmp_path / "sys/class/block/sda/device"
    asked.mkdir(parents=True)
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/sda").touch()
    (tmp_path / "dev/volume").symlink_to("sda")
    monkeypatch.setattr(here, "ROOT", tmp_path)
    filesystem.rescan("/dev/volume")
    assert (asked / "rescan").read_text() == "1"
    filesystem.rescan("/dev/other")
