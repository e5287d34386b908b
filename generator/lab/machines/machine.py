"""One droplet as a real machine: systemd-nspawn with own root, namespaces and cgroups, found again by its records."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from generator.errors import Problem
from generator.files import make_private_directory, write_atomic
from generator.lab.machines import cgroups, network, snapshots, volumes
from generator.lab.machines.port import Port, network_data
from generator.lab.machines.snapshots import CONFIG_DRIVE, OWN_DIRECTORIES
from generator.lab.process import Process, namespace_pids, wait_until_gone
from generator.lab.state import State, namespace_path, read_record, write_record

_LAUNCHERS = "launchers"
_PROPAGATE_DIRECTORY = Path("/run/systemd/nspawn/propagate")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_START_SECONDS = 20.0
_STOP_SECONDS = 20.0
_POLL_SECONDS = 0.02


@dataclass(frozen=True)
class ConfigDrive:
    """What the provider gives a droplet at its creation; it cannot be changed later."""

    meta_data: Mapping[str, Any]
    user_data: str
    vendor_data: str

    def files(self, port: Port) -> dict[str, bytes]:
        """Give the drive's files by their paths on it."""
        files = {
            "meta_data.json": json.dumps(dict(self.meta_data), indent=1, sort_keys=True),
            "network_data.json": json.dumps(network_data(port), indent=1, sort_keys=True),
            "user_data": self.user_data,
            "vendor_data.json": json.dumps({"cloud-init": self.vendor_data}),
        }
        return {f"openstack/latest/{name}": content.encode() for name, content in files.items()}


@dataclass(frozen=True)
class Machine:
    """A droplet's machine; the object holds no state, everything is in the directory and in the kernel.

    `below` are the layers of the snapshot that it was made of, the uppermost first.
    """

    state: State
    number: int
    memory_mib: int
    port: Port
    root: Path
    layer: Path
    below: tuple[Path, ...] = ()

    @classmethod
    def create(
        cls,
        state: State,
        port: Port,
        memory_mib: int,
        root: Path,
        layer: Path,
        config_drive: ConfigDrive,
        snapshot: int | None = None,
    ) -> Machine:
        """Make a droplet's disk and write its config drive; an earlier disk of the same number is wiped.

        Args:
            state: the lab.
            port: the droplet's number, addresses and hardware addresses.
            memory_mib: the size of the droplet's memory.
            root: the base root, from `root.build`.
            layer: the lab's layer, from `root.layer`.
            config_drive: what the provider hands over.
            snapshot: the number of the one that it is made of, if it is.
        """
        below = () if snapshot is None else snapshots.layers(state, snapshot)
        machine = cls(state, port.number, memory_mib, port, root, layer, below)
        shutil.rmtree(machine.directory, ignore_errors=True)
        make_private_directory(machine.directory)
        # the upper's top directory is the droplet's `/`
        for name in ("upper", "work", "merged"):
            (machine.directory / name).mkdir(mode=0o755)
        for name in OWN_DIRECTORIES:
            (machine.directory / "own" / name).mkdir(parents=True, mode=0o755)
        if snapshot is not None:
            snapshots.fill(state, snapshot, machine.directory / "own")
        machine._write_config_drive(config_drive.files(port))
        write_record(machine.directory / "machine.json", machine._to_record())
        return machine

    @classmethod
    def load(cls, state: State, number: int) -> Machine | None:
        """Find a droplet's machine by its record, also after the process that made it has gone."""
        record = read_record(state.droplet(number) / "machine.json")
        if record is None:
            return None
        return cls(
            state=state,
            number=number,
            memory_mib=int(record["memory_mib"]),
            port=Port.from_record(record["port"]),
            root=Path(record["root"]),
            layer=Path(record["layer"]),
            below=tuple(map(Path, record.get("below", ()))),
        )

    @classmethod
    def all(cls, state: State) -> tuple[Machine, ...]:
        """Find all machines of a lab, by number."""
        if not state.droplets.is_dir():
            return ()
        numbers = sorted(int(path.name) for path in state.droplets.iterdir() if path.name.isdecimal())
        return tuple(machine for number in numbers if (machine := cls.load(state, number)) is not None)

    @property
    def directory(self) -> Path:
        """Where everything of this droplet lies."""
        return self.state.droplet(self.number)

    @property
    def name(self) -> str:
        """What the droplet is called in cgroups, namespaces and for systemd-nspawn."""
        return self.state.droplet_namespace(self.number)

    @property
    def console_log(self) -> Path:
        """The serial console, of all boots."""
        return self.directory / "console.log"

    @property
    def is_running(self) -> bool:
        """Say whether the machine is on, from the moment of `boot` until its last process has gone."""
        launcher = self._launcher()
        return (launcher is not None and launcher.is_alive) or self._first_process() is not None

    def boot(self) -> None:
        """Power the machine on: plug it in, and start its first process; what it says goes to the console log.

        Raises:
            Problem: it is on already, or its first process did not start.
        """
        if self.is_running:
            raise Problem(f"droplet {self.number} is on already")
        network.attach(self.state, self.port)
        launchers = cgroups.make(self.state, _LAUNCHERS)
        groups = cgroups.make(self.state, self.name, self.memory_mib << 20)
        environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1" if cgroups.is_unified() else "0",
            # a machine sets the sysctls of its own network, and those alone
            "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network",
        }
        console = os.open(self.console_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            # a session of its own: it outlives who starts it
            launcher = subprocess.Popen(
                self._launch_command(launchers, groups),
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                cwd="/",
                env=environment,
                start_new_session=True,
            )
        finally:
            os.close(console)
        process = Process.find(launcher.pid)
        if process is not None:
            write_record(self.directory / "launcher.json", process.to_record())
        # not ours to wait for: who looks for the launcher finds it by its record
        launcher.returncode = 0
        self._await_first_process()

    def kill(self) -> None:
        """Cut the power: the first process and with it all others end at once, the disk stays; safe to repeat."""
        launcher = self._launcher()
        first = self._first_process()
        if first is not None:
            # the machine's own first process takes all others with it, and systemd-nspawn ends by itself then; killed
            # alone, systemd-nspawn would leave the machine running
            first.kill()
            wait_until_gone([first, *([launcher] if launcher is not None else [])], _STOP_SECONDS)
        # a machine that was not that far, or not that healthy
        if launcher is not None:
            launcher.kill()
        while rest := cgroups.processes(self.state, self.name):
            for process in rest:
                process.kill()
            wait_until_gone(rest, _STOP_SECONDS)
        self._unplug()
        network.detach(self.state, self.number)
        cgroups.remove(self.state, self.name)
        (self.directory / "launcher.json").unlink(missing_ok=True)
        shutil.rmtree(_PROPAGATE_DIRECTORY / self.name, ignore_errors=True)

    @property
    def plugged(self) -> dict[str, int]:
        """Give the volumes that the machine sees, by name, with their size in GiB."""
        return {name: int(gib) for name, (_, gib) in self._plugged().items()}

    def plug(self, wanted: Mapping[str, tuple[Path, int]]) -> None:
        """Let the running machine see just these volumes; one that somebody else still has comes another time.

        Args:
            wanted: file and size in GiB, by name.
        """
        first = self._first_process()
        if first is None:
            return
        root, plugged = Path(f"/proc/{first.pid}/root"), self._plugged()
        for name in plugged.keys() - wanted.keys():
            volumes.hide(root, name)
            volumes.give_back(plugged.pop(name)[0])
        for name, (path, gib) in wanted.items():
            if name in plugged:
                volumes.grow(plugged[name][0])
                plugged[name] = (plugged[name][0], gib)
            elif (device := volumes.lend(path)) is not None:
                volumes.show(root, name, device)
                plugged[name] = (device, gib)
        write_record(self._volumes_record, plugged)

    def _unplug(self) -> None:
        """Give back all loop devices of a machine that is off."""
        for device, _ in self._plugged().values():
            volumes.give_back(device)
        self._volumes_record.unlink(missing_ok=True)

    @property
    def _volumes_record(self) -> Path:
        return self.directory / "volumes.json"

    def _plugged(self) -> dict[str, tuple[str, int]]:
        record = read_record(self._volumes_record) or {}
        return {name: (str(device), int(gib)) for name, (device, gib) in record.items()}

    def destroy(self) -> None:
        """Cut the power and remove the disk; safe to repeat."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def command(self, argv: Sequence[str], *, terminal: bool = False) -> list[str]:
        """Give the host's command that runs `argv` inside, as a service of the machine with its cgroups and limits.

        Raises:
            Problem: the machine is off.
        """
        if self.is_running:
            self._await_first_process()  # it may have been switched on a moment ago
        first = self._first_process()
        if first is None:
            raise Problem(f"droplet {self.number} is off")
        streams = ["--pty"] if terminal else ["--pipe"]
        inside = ["systemd-run", "--quiet", "--wait", "--collect", "--service-type=exec", *streams, "--", *argv]
        enter = ["nsenter", f"--target={first.pid}", "--all", "--root", "--wd"]
        return [*enter, "env", f"PATH={_PATH}", *inside]  # systemd-run looks for the command before systemd does

    def _to_record(self) -> dict[str, Any]:
        return {
            "memory_mib": self.memory_mib,
            "port": self.port.to_record(),
            "root": str(self.root),
            "layer": str(self.layer),
            "below": [str(path) for path in self.below],
        }

    def _write_config_drive(self, files: Mapping[str, bytes]) -> None:
        for name, content in files.items():
            path = self.directory / "upper" / CONFIG_DRIVE / name
            # with the modes that these directories have in the base root, or would have
            path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            write_atomic(path, content, mode=0o600)

    def _launch_command(self, launchers: tuple[Path, ...], groups: tuple[Path, ...]) -> list[str]:
        upper, work, merged = (self.directory / name for name in ("upper", "work", "merged"))
        return [
            *("sh", str(Path(__file__).parent / "launcher")),
            ":".join(map(str, launchers)),
            ":".join(map(str, groups)),
            f"lowerdir={':'.join(map(str, (*self.below, self.layer, self.root)))},upperdir={upper},workdir={work}",
            str(merged),
            *("--quiet", "--register=no", "--keep-unit", f"--directory={merged}", f"--machine={self.name}"),
            *("--hostname=localhost", f"--network-namespace-path={namespace_path(self.name)}"),
            # the machine is trusted by its host; inside, privileged pods and eBPF must find what a droplet has
            *("--capability=all", "--system-call-filter=@known"),
            *("--console=read-only", "--resolv-conf=off", "--timezone=off", "--link-journal=no"),
            *("--bind=/dev/net/tun", "--bind=/dev/kmsg", *(["--bind=/dev/fuse"] if Path("/dev/fuse").exists() else [])),
            *(f"--bind={self.directory / 'own' / name}:/{name}" for name in OWN_DIRECTORIES),
            f"--setenv=HARDWAY_MEMORY_KIB={self.memory_mib << 10}",
            "/usr/lib/hardway-lab/lab-init",
        ]

    def _launcher(self) -> Process | None:
        record = read_record(self.directory / "launcher.json")
        return None if record is None else Process.from_record(record)

    def _first_process(self) -> Process | None:
        depth = len(namespace_pids(os.getpid())) + 1
        for process in cgroups.processes(self.state, self.name):
            numbers = namespace_pids(process.pid)
            if len(numbers) == depth and numbers[-1] == 1:
                return process
        return None

    def _await_first_process(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if self._first_process() is not None:
                return
            launcher = self._launcher()
            if launcher is None or not launcher.is_alive:
                break
            time.sleep(_POLL_SECONDS)
        words = self.console_log.read_text(errors="replace").strip().splitlines()
        self.kill()
        raise Problem(f"droplet {self.number} did not start: {words[-1] if words else 'it said nothing'}")


def machine_names(state: State) -> tuple[Path, ...]:
    """List what systemd-nspawn left outside the lab's directory: one directory for each machine that was killed."""
    if not _PROPAGATE_DIRECTORY.is_dir():
        return ()
    return tuple(sorted(path for path in _PROPAGATE_DIRECTORY.iterdir() if state.owns(path.name)))


def forget(state: State) -> None:
    """Remove what `machine_names` lists, and systemd-nspawn's own directories where that leaves them empty."""
    for path in machine_names(state):
        shutil.rmtree(path, ignore_errors=True)
    for path in (_PROPAGATE_DIRECTORY, _PROPAGATE_DIRECTORY.with_name("locks"), _PROPAGATE_DIRECTORY.parent):
        with suppress(OSError):
            path.rmdir()
