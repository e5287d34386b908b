"""The agent on real disks: Debian 13's own tools and this kernel judge what it formats, refuses, mounts and grows."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from generator.documents import agent, user_data
from generator.lab.content import build, served
from generator.lab.content.cache import Cache
from generator.lab.machines import volumes
from generator.plan.decide import Plan
from generator.plan.names import volume_name
from generator.plan.volumes import Volume as Planned
from generator.release import lock_file
from generator.release.lock_file import Filesystem
from tests.silent import Silent

from .. import facts
from ..conftest import TESTS

PLAN = facts.load(TESTS / "clusters" / "one-control-plane-two-workers.yaml").plan
OTHER = "00000000-1111-5222-8333-444444444444"
KINDS: tuple[Filesystem, ...] = ("ext4", "xfs")
HOPELESS = 78
MIB = 1 << 20
# What both file systems take: https://docs.kernel.org (EXT4_IOC_SHUTDOWN, XFS_IOC_GOINGDOWN), the log left as it is.
SHUTDOWN, LOG_LEFT = 0x8004587D, 2
PLACE = "var/lib/hardway/volumes/data"
LOOK = "import sys; sys.path.insert(0, '/usr/local/lib'); import dataclasses, json; from hardway import mounted; "
USES = LOOK + "print(json.dumps([dataclasses.asdict(one) for one in mounted.uses()]))"
LINK = "import sys; sys.path.insert(0, '/usr/local/lib'); from hardway import binaries; binaries.link()"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="disks are made by root")


@dataclass
class Machine:
    """A node's root with a disk, in a mount namespace that ends with it; what is in the image outlives it."""

    lower: Path
    work: Path
    image: Path
    kind: Filesystem
    # Of its own in each test: this kernel mounts no two of one.
    uuid: str = field(default_factory=lambda: str(uuid4()))
    device: str = ""
    holder: subprocess.Popen[bytes] | None = None

    @property
    def root(self) -> Path:
        assert self.holder is not None
        return Path(f"/proc/{self.holder.pid}/root")

    @property
    def data(self) -> Path:
        return self.root / PLACE

    def boot(self) -> None:
        """Start with an empty upper layer, as a droplet that was made anew."""
        planned = Planned("data", 1, volume_name("small", "worker01", "data"), self.uuid, self.kind)
        node = replace(PLAN.workers[0], volumes=(planned,))
        for name in ("upper", "work", "root"):
            shutil.rmtree(self.work / name, ignore_errors=True)
            (self.work / name).mkdir(parents=True)
        for file in user_data.files(PLAN, node):
            write(self.work / "upper", str(file.path), file.content.encode(), file.mode)
        layers = f"lowerdir={self.lower},upperdir={self.work}/upper,workdir={self.work}/work"
        root = self.work / "root"
        script = f"""
            mount -t overlay overlay -o {layers} {root}
            mount -t proc proc {root}/proc
            mount -t tmpfs tmpfs {root}/dev
            mknod -m 666 {root}/dev/zero c 1 5
            exec chroot {root} sh -c "echo up; exec sleep infinity"
        """
        command = ["unshare", "--mount", "--propagation", "private", "sh", "-euc", script]
        self.holder = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self.holder.stdout is not None
        assert self.holder.stdout.readline() == b"up\n"
        device = volumes.lend(self.image)
        assert device is not None
        self.device = device
        volumes.show(self.root, planned.full_name, device)
        assert self.run("python3", "-c", LINK).returncode == 0

    def off(self) -> None:
        """Cut the power."""
        if self.holder is not None:
            self.holder.kill()
            self.holder.communicate()
            self.holder = None
        if self.device:
            volumes.give_back(self.device)
            self.device = ""

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        assert self.holder is not None
        inside = ["nsenter", f"--target={self.holder.pid}", "--mount", "--root", "--wd", "--", *argv]
        path = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
        return subprocess.run(inside, capture_output=True, text=True, env=path, check=False)

    def step(self, name: str = "volumes") -> str:
        """Run a step that succeeds, and give what it says."""
        done = self.run("hardway", name)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def uses(self) -> list[dict[str, Any]]:
        done = self.run("python3", "-c", USES)
        assert done.returncode == 0, done.stderr
        return list(json.loads(done.stdout))

    def size_mib(self) -> int:
        """Give the mounted file system's size in blocks: all but what it needs for itself."""
        found = os.statvfs(self.data)
        return found.f_blocks * found.f_frsize // MIB

    def fill(self) -> None:
        """Write until nothing more fits, as somebody who is not root."""
        self.data.chmod(0o777)
        done = self.run("setpriv", "--reuid=1000", "--clear-groups", "dd", "if=/dev/zero", f"of=/{PLACE}/full", "bs=1M")
        assert "No space left on device" in done.stderr

    def digest(self) -> str:
        with self.image.open("rb") as file:
            digest = sha256()
            while piece := file.read(16 * MIB):
                digest.update(piece)
        return digest.hexdigest()


def write(root: Path, path: str, content: bytes, mode: int) -> None:
    target = root / path.lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    target.chmod(mode)


@pytest.fixture(scope="module")
def lower(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a node's root with the pinned tools of xfs, where the node unpacks them."""
    roots = sorted(path for path in Cache.default().directory.glob("roots/*") if (path / "usr/bin/python3").exists())
    if not roots:
        pytest.skip("no Debian 13 here; `gen lab build` makes the lab's base")
    release = build.build(lock_file.load(PLAN.release.name, Path("/nonexistent")), Silent())
    content = served.ensure(release, progress=Silent())
    upper = tmp_path_factory.mktemp("tools")
    (upper / "opt").mkdir()
    for package in release.packages:
        if package.filesystem == "xfs":
            where = str(upper / "opt/hardway")
            subprocess.run(["dpkg-deb", "-x", str(content.files[package.urls[0]]), where], check=True)
    for path, data in agent.files().items():
        write(upper, str(path), data, 0o644)
    return Path(f"{upper}:{roots[-1]}")


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Filesystem:
    found: Filesystem = request.param
    return found


@pytest.fixture
def machine(lower: Path, kind: Filesystem, tmp_path: Path) -> Iterator[Machine]:
    yield from booted(lower, kind, tmp_path)


def booted(lower: Path, kind: Filesystem, directory: Path) -> Iterator[Machine]:
    image = directory / "disk.img"
    with image.open("wb") as file:
        file.truncate(512 * MIB)
    made = Machine(lower, directory / "machine", image, kind)
    try:
        made.boot()
        yield made
    finally:
        made.off()


def reboot(machine: Machine) -> None:
    machine.off()
    machine.boot()


def refused(machine: Machine) -> str:
    """Give the words of a step that never will succeed, and left the disk as it was."""
    before = machine.digest()
    done = machine.run("hardway", "volumes")
    assert done.returncode == HOPELESS, done.stderr
    assert machine.digest() == before
    assert not os.path.ismount(machine.data) if machine.data.exists() else True
    return done.stderr


def test_a_blank_one_is_formatted_and_mounted_once(machine: Machine) -> None:
    said = machine.step()
    assert said == "volume data is blank: it is formatted\nvolume data is mounted\n"
    found = machine.run("blkid", "--probe", "--output", "export", f"/dev/{machine_disk(machine)}").stdout
    assert f"UUID={machine.uuid}\n" in found
    assert f"TYPE={machine.kind}\n" in found
    assert "LABEL=data\n" in found
    (machine.data / "kept").write_text("orders")
    assert machine.step() == "volume data is mounted\n", "what is mounted stays so"
    assert machine.step("grow") == ""
    reboot(machine)
    assert machine.step() == "volume data is mounted\n"
    assert (machine.data / "kept").read_text() == "orders"


def machine_disk(machine: Machine) -> str:
    (found,) = [path.name for path in (machine.root / "dev").iterdir() if path.name.startswith("sd")]
    return found


def test_a_power_cut_loses_nothing_that_was_written(machine: Machine, tmp_path: Path) -> None:
    """The log is replayed: by e2fsck, or by mounting."""
    machine.step()
    for number in range(50):
        path = machine.data / f"order-{number}"
        path.write_text("bought")
        with path.open() as file:
            os.fsync(file.fileno())
    directory = os.open(machine.data, os.O_RDONLY)
    os.fsync(directory)
    os.close(directory)
    copy = tmp_path / "at the cut.img"
    subprocess.run(["cp", "--sparse=always", str(machine.image), str(copy)], check=True)
    machine.off()
    machine.image = copy
    reboot(machine)
    assert machine.step() == "volume data is mounted\n"
    assert [(machine.data / f"order-{number}").read_text() for number in range(50)] == ["bought"] * 50


def test_what_a_power_cut_left_of_formatting_is_formatted_again(machine: Machine) -> None:
    """Where this node has noted that it had begun; nothing was ever written there."""
    note = machine.root / f"var/lib/hardway/formatting-{machine.uuid}"
    machine.step()
    assert not note.exists()
    (machine.data / "kept").write_text("orders")
    assert machine.run("umount", f"/{PLACE}").returncode == 0
    note.write_text("data")
    assert machine.step() == "volume data is mounted\n", "one that is whole is not formatted, whatever is noted"
    assert (machine.data / "kept").read_text() == "orders"
    assert not note.exists()
    assert machine.run("umount", f"/{PLACE}").returncode == 0
    with (machine.root / "dev" / machine_disk(machine)).open("r+b") as file:
        # ext4: its superblock is not there yet; xfs: it says that it is in progress.
        file.seek(1024 if machine.kind == "ext4" else 126)
        file.write(bytes(1024) if machine.kind == "ext4" else b"\1")
    refused(machine)
    note.write_text("data")
    assert machine.step() == "volume data is blank: it is formatted\nvolume data is mounted\n"
    assert not (machine.data / "kept").exists()
    assert not note.exists()


def test_another_file_system_than_planned_is_never_formatted(machine: Machine) -> None:
    machine.step()
    has, planned = machine.kind, next(kind for kind in KINDS if kind != machine.kind)
    machine.kind = planned
    reboot(machine)
    said = refused(machine)
    assert said == f"hardway volumes: volume data holds {has}, and {planned} is planned: it is left as it is\n"


@pytest.mark.parametrize("noted", [False, True])
def test_another_s_is_left_as_it_is(machine: Machine, noted: bool) -> None:
    if noted:
        (machine.root / "var/lib/hardway").mkdir(parents=True, exist_ok=True)
        (machine.root / f"var/lib/hardway/formatting-{machine.uuid}").write_text("data")
    makers = {"ext4": ("mkfs.ext4", "-q", "-U", OTHER), "xfs": ("mkfs.xfs", "-q", "-m", f"uuid={OTHER}")}
    assert machine.run(*makers[machine.kind], f"/dev/{machine_disk(machine)}").returncode == 0
    assert f"holds another's file system ({OTHER}, not {machine.uuid}): it is left as it is" in refused(machine)


def may_grow_ext4() -> bool:
    """Tell whether root here has CAP_SYS_RESOURCE, as on any droplet."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapBnd:")]
    return bool(int(line.split()[1], 16) >> 24 & 1)


def spoil(machine: Machine, *places: tuple[int, int]) -> None:
    """Overwrite parts of the disk of a machine that is off: where, and how long."""
    with machine.image.open("r+b") as file:
        for place, length in places:
            file.seek(place)
            file.write(b"\xff" * length)


def test_a_damaged_one_says_so_and_is_left(machine: Machine) -> None:
    machine.step()
    (machine.data / "kept").write_text("orders")
    machine.off()
    # ext4: the group descriptors; xfs: all that says where in its first group anything lies
    places = [(4096, 65536)] if machine.kind == "ext4" else [(512, 3 * 512), (4096, 16 * 4096)]
    spoil(machine, *places)
    reboot(machine)
    for _ in range(2):
        done = machine.run("hardway", "volumes")
        assert done.returncode == HOPELESS
        assert "volume data is damaged" in done.stderr
        assert not os.path.ismount(machine.data)
    for place, length in places:
        with machine.image.open("rb") as file:
            file.seek(place)
            assert file.read(length) == b"\xff" * length, "nothing is repaired"


def test_one_without_its_beginning_is_not_blank(machine: Machine) -> None:
    machine.step()
    machine.off()
    with machine.image.open("r+b") as file:
        file.write(bytes(2 * MIB))
    reboot(machine)
    assert "holds something that is no file system, and" in refused(machine)


def test_a_read_only_one_is_a_failure(machine: Machine) -> None:
    machine.step()
    reboot(machine)
    subprocess.run(["blockdev", "--setro", machine.device], check=True)
    try:
        done = machine.run("hardway", "volumes")
    finally:
        subprocess.run(["blockdev", "--setrw", machine.device], check=True)
    assert done.returncode == 1
    assert "volume data is read-only: is it damaged, or attached so?" in done.stderr


def test_one_that_stops_while_it_runs_is_told(machine: Machine) -> None:
    machine.step()
    assert machine.uses() == [{"name": "data", "percent": 10, "trouble": ""}]
    assert machine.run("mount", "--options=remount,ro", f"/{PLACE}").returncode == 0
    assert machine.uses()[0]["trouble"] == "read-only"
    assert machine.run("mount", "--options=remount,rw", f"/{PLACE}").returncode == 0
    assert machine.uses()[0]["trouble"] == ""
    directory = os.open(machine.data, os.O_RDONLY)
    fcntl.ioctl(directory, SHUTDOWN, struct.pack("I", LOG_LEFT))
    os.close(directory)
    (told,) = machine.uses()
    assert told["trouble"] in ("read-only", "stopped: Input/output error", "unreadable: Input/output error")


def test_ext4_goes_no_further_after_an_error(lower: Path, tmp_path: Path) -> None:
    """Unless told, it would write on over what is damaged."""
    for machine in booted(lower, "ext4", tmp_path):
        machine.step()
        trigger = Path(f"/sys/fs/ext4/{Path(machine.device).name}/trigger_fs_error")
        trigger.write_text("test")
        assert machine.uses()[0]["trouble"] == "read-only"
        with pytest.raises(OSError, match="Read-only file system"):
            (machine.data / "more").write_text("orders")


def test_a_full_one_is_mounted_and_says_so(machine: Machine) -> None:
    machine.step()
    machine.fill()
    (told,) = machine.uses()
    assert told == {"name": "data", "percent": 100, "trouble": ""}
    assert machine.step() == "volume data is mounted, and 100 % full\n"
    reboot(machine)
    assert machine.step() == "volume data is mounted, and 100 % full\n"
    (machine.data / "full").unlink()
    assert machine.step() == "volume data is mounted\n"


@pytest.mark.parametrize("filled", [False, True], ids=["empty", "full"])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "ext4" or may_grow_ext4()])
def test_it_grows_while_it_is_mounted(machine: Machine, filled: bool) -> None:
    """Where the host has taken CAP_SYS_RESOURCE even from root, as containers do, there is no ext4 to be tried."""
    machine.step()
    (machine.data / "kept").write_text("orders")
    if filled:
        machine.fill()
    before = machine.size_mib()
    with (machine.data / "kept").open() as reader:
        with machine.image.open("r+b") as file:
            file.truncate(1024 * MIB)
        assert machine.step("grow") == "", "the disk does not show it yet"
        volumes.grow(machine.device)
        assert machine.step("grow") == "volume data has grown to 1 GiB\n"
        assert machine.size_mib() >= before + 480
        assert machine.step("grow") == ""
        assert reader.read() == "orders"
    assert machine.uses()[0]["percent"] <= 60
    with suppress(FileNotFoundError):
        (machine.data / "full").unlink()
    reboot(machine)
    machine.step()
    assert machine.size_mib() >= before + 480


def test_one_that_grew_while_its_node_was_off_fills_its_disk(machine: Machine) -> None:
    machine.step()
    before = machine.size_mib()
    machine.off()
    with machine.image.open("r+b") as file:
        file.truncate(1024 * MIB)
    reboot(machine)
    machine.step()
    assert machine.step("grow") == ("volume data has grown to 1 GiB\n" if machine.kind == "xfs" else "")
    assert machine.size_mib() >= before + 480


def test_what_may_not_grow_while_it_is_mounted_says_so_and_does_at_the_next_boot(lower: Path, tmp_path: Path) -> None:
    for machine in booted(lower, "ext4", tmp_path):
        machine.step()
        with machine.image.open("r+b") as file:
            file.truncate(1024 * MIB)
        volumes.grow(machine.device)
        done = machine.run("setpriv", "--bounding-set=-sys_resource", "hardway", "grow")
        assert done.returncode == 1
        assert "Permission denied to resize filesystem" in done.stderr
        before = machine.size_mib()
        reboot(machine)
        machine.step()
        assert machine.size_mib() >= before + 480


def test_only_nodes_with_such_a_volume_bring_its_tools() -> None:
    def packages(plan: Plan, *kinds: Filesystem) -> set[str]:
        volumes_ = tuple(Planned(kind, 1, kind, "", kind) for kind in kinds)
        return {one.name for one in plan.packages(replace(plan.workers[0], volumes=volumes_))}

    assert packages(PLAN) == packages(PLAN, "ext4")
    assert packages(PLAN, "ext4", "xfs") - packages(PLAN) == {"xfsprogs", "libinih1", "liburcu8t64"}
