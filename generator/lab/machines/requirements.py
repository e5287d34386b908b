"""What a lab needs of its host: found before the first minute of work, all at once."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from generator.errors import Problem
from generator.lab.machines import cgroups, kernel
from generator.lab.state import State

# command: Debian package
COMMANDS = {
    "ip": "iproute2",
    "mmdebstrap": "mmdebstrap",
    "mount": "mount",
    "nft": "nftables",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "sysctl": "procps",
    "systemd-nspawn": "systemd-container",
    "unshare": "util-linux",
}
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_CAPABILITIES = {"CAP_NET_ADMIN": 12, "CAP_SYS_ADMIN": 21, "CAP_SYS_CHROOT": 18, "CAP_SYS_PTRACE": 19}
# What a droplet does on its first step: namespaces of its own, an overlay and a cgroup of its own in them.
_TRIAL = (
    "mount -t tmpfs none /mnt && mkdir /mnt/l /mnt/u /mnt/w /mnt/m &&"
    " mount -t overlay -o lowerdir=/mnt/l,upperdir=/mnt/u,workdir=/mnt/w none /mnt/m"
)
_GIB = 1 << 30


@dataclass(frozen=True)
class Need:
    """How much of the host a piece of work takes, in GiB, and what it is called in a message."""

    what: str
    memory: float = 0.0
    cache: float = 0.0
    labs: float = 0.0


def building(state: State) -> Need:
    """Say what having a release's content takes; most of it is Go's own caches, where all is still to be built."""
    is_new = not any((state.cache / "results").glob("*"))
    return Need("building from source", memory=3, cache=14 if is_new else 2)


def running(droplets: int) -> Need:
    """Say what a lab takes in which a cluster of so many droplets runs: three were measured at 2 and 3.8 GiB."""
    return Need(f"a lab of {droplets} droplets", memory=1 + 0.75 * droplets, cache=1, labs=1 + 1.5 * droplets)


def missing(state: State, need: Need, more_commands: Mapping[str, str] | None = None) -> list[Problem]:
    """Find what this host lacks; all missing packages stand in one line that installs them.

    Args:
        state: says where labs and cache lie.
        need: what is about to be done.
        more_commands: commands that other parts of the lab run, each with its Debian package.
    """
    if sys.platform != "linux" or platform.machine() != "x86_64":
        here = f"{platform.system()} on {platform.machine()}"
        return [Problem(f"the lab needs Linux on x86_64, and this is {here}", hint="use a Linux machine or VM")]
    problems = []
    if os.geteuid() != 0:
        problems.append(Problem("the lab makes network namespaces and machines and must be root", hint="use `sudo`"))
    problems += _packages({**COMMANDS, **(more_commands or {})})
    problems += _rights()
    problems += _room(state, need)
    return problems


def slow(need: Need) -> tuple[str, ...]:
    """Say what makes a piece of work slow, and forbids nothing."""
    cores = len(os.sched_getaffinity(0))
    return (
        (f"{need.what} is slow on {cores} core, and times may run out: two are what it is made for",)
        if cores < 2
        else ()
    )


def _packages(commands: Mapping[str, str]) -> Iterator[Problem]:
    search = f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"
    lacking = {package for command, package in commands.items() if shutil.which(command, path=search) is None}
    if not _KEYRING.exists():
        lacking.add("debian-archive-keyring")
    if lacking:
        line = f"apt-get install --no-install-recommends {' '.join(sorted(lacking))}"
        yield Problem(f"packages are missing: {', '.join(sorted(lacking))}", hint=line)


def _rights() -> Iterator[Problem]:
    parts = kernel.lacking()
    if parts:
        hint = f"on the machine that this is a container of: `modprobe -a {' '.join(parts)}`; else use another kernel"
        yield Problem(f"the kernel neither has nor can load: {', '.join(parts)}", hint=hint)
    for device in ("/dev/net/tun", "/dev/kmsg"):
        if not Path(device).exists() and not (device == "/dev/net/tun" and kernel.is_to_be_loaded("tun")):
            yield Problem(f"`{device}` is missing", hint="a container must be given this device")
    effective = _effective_capabilities()
    lacking = [name for name, number in _CAPABILITIES.items() if not effective >> number & 1]
    if os.geteuid() == 0 and lacking:
        yield Problem(f"root lacks {', '.join(lacking)}", hint="use a privileged container")
    if not cgroups.hierarchies():
        yield Problem("no cgroup hierarchy is mounted below `/sys/fs/cgroup`")
    elif os.geteuid() == 0 and not any(os.access(each.directory, os.W_OK) for each in cgroups.hierarchies()):
        yield Problem("`/sys/fs/cgroup` can't be written", hint="use a privileged container")
    if os.geteuid() == 0 and not lacking and not parts and not kernel.is_to_be_loaded("overlay"):
        tried = subprocess.run(
            ["unshare", "--mount", "--net", "--pid", "--fork", "sh", "-c", _TRIAL],
            capture_output=True,
            text=True,
            check=False,
        )
        if tried.returncode != 0:
            words = tried.stderr.strip().splitlines()
            message = f"root may not do here what a droplet's start takes: {words[-1] if words else 'refused'}"
            yield Problem(message, hint="use a machine, a VM or a privileged container")


def _room(state: State, need: Need) -> Iterator[Problem]:
    memory = _available_memory() / _GIB
    if memory < need.memory:
        hint = "end something, or use a machine with more memory"
        yield Problem(f"{need.what} takes {need.memory:.1f} GiB of memory, {memory:.1f} are free", hint=hint)
    wanted: dict[int, tuple[Path, float]] = {}
    for path, gibibytes in ((state.cache, need.cache), (state.labs, need.labs)):
        there = next(parent for parent in (path, *path.parents) if parent.exists())
        device = there.stat().st_dev
        # the two may share a disk
        wanted[device] = (path, wanted.get(device, (path, 0.0))[1] + gibibytes)
    for path, gibibytes in wanted.values():
        there = next(parent for parent in (path, *path.parents) if parent.exists())
        free = shutil.disk_usage(there).free / _GIB
        if free < gibibytes:
            hint = "make room, or let `HARDWAY_CACHE` and `HARDWAY_LABS` name directories on another disk"
            message = f"{need.what} takes {gibibytes:.0f} GiB of disk, {free:.1f} are free"
            yield Problem(message, where=str(path), hint=hint)


def _available_memory() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    return 0


def _effective_capabilities() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    return 0
