"""What a lab needs of its host, what of a lab is on the host, and how all of it goes away again."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from generator.errors import Problem
from generator.lab.machines import cgroups, kernel, network
from generator.lab.machines.machine import forget, machine_names
from generator.lab.process import Process, all_pids, run, wait_until_gone
from generator.lab.state import State, namespace_path, read_record

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
DAEMON_RECORD = "daemon.json"
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_KERNEL_PARTS = ("br_netfilter", "bridge", "nf_conntrack", "nf_tables", "overlay", "tun", "veth")
_CAPABILITIES = {"CAP_NET_ADMIN": 12, "CAP_SYS_ADMIN": 21, "CAP_SYS_CHROOT": 18, "CAP_SYS_PTRACE": 19}
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


def requirements(more_commands: Mapping[str, str] | None = None) -> list[Problem]:
    """Find what this host lacks for a lab; all missing packages stand in one line that installs them.

    Args:
        more_commands: commands that other parts of the lab run, each with its Debian package.
    """
    if sys.platform != "linux" or platform.machine() != "x86_64":
        here = f"{platform.system()} on {platform.machine()}"
        return [Problem(f"the lab needs Linux on x86_64, and this is {here}", hint="use a Linux machine or VM")]
    problems = []
    if os.geteuid() != 0:
        problems.append(Problem("the lab makes network namespaces and machines and must be root", hint="use `sudo`"))
    commands = {**COMMANDS, **(more_commands or {})}
    search = f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"
    missing = {package for command, package in commands.items() if shutil.which(command, path=search) is None}
    if not _KEYRING.exists():
        missing.add("debian-archive-keyring")
    if missing:
        line = f"apt-get install --no-install-recommends {' '.join(sorted(missing))}"
        problems.append(Problem(f"packages are missing: {', '.join(sorted(missing))}", hint=line))
    parts = sorted(set(_KERNEL_PARTS) - set(kernel.available()))
    if parts:
        line = f"modprobe -a {' '.join(parts)}"
        problems.append(Problem(f"the kernel has not loaded: {', '.join(parts)}", hint=line))
    problems += [
        Problem(f"`{device}` is missing", hint="a container must be given this device")
        for device in ("/dev/net/tun", "/dev/kmsg")
        if not Path(device).exists()
    ]
    effective = _effective_capabilities()
    lacking = [name for name, number in _CAPABILITIES.items() if not effective >> number & 1]
    if os.geteuid() == 0 and lacking:
        problems.append(Problem(f"root lacks {', '.join(lacking)}", hint="use a privileged container"))
    if not cgroups.hierarchies():
        problems.append(Problem("no cgroup hierarchy is mounted below `/sys/fs/cgroup`"))
    return problems


def leftovers(state: State) -> tuple[Leftover, ...]:
    """List what is on the host of this lab, running or left by a crash; empty when there never was one."""
    found = [Leftover("process", f"{process.pid} ({_command(process.pid)})") for process in processes(state)]
    found += [Leftover("mount", mount) for mount in _mounts(state)]
    found += [Leftover("namespace", name) for name in state.namespaces]
    found += [Leftover("cgroup", str(each.lab)) for each in cgroups.hierarchies() if each.lab.is_dir()]
    found += [Leftover("loop device", device) for device in _loop_devices(state)]
    found += [Leftover("file", str(path)) for path in machine_names()]
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
    found.update(cgroups.processes())
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
    forget()
    if state.is_claimed:
        shutil.rmtree(state.directory)
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


def _effective_capabilities() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    return 0
