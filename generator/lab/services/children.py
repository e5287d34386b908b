"""Runs the lab's foreign services as children inside its network namespace: started, watched, stopped, never left."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path

from generator.errors import Problem
from generator.lab.state import namespace_path

_STOP_SECONDS = 5.0
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Program:
    """One program to keep running.

    Args:
        name: what it is called in logs.
        argv: the command; it must stay in the foreground.
        environment: what it needs to know besides `PATH`; the only way in for secrets of a program that reads no file.
        socket: the socket file that it makes; it is ready when that is there.
        listens: the address and port that it listens on instead; it is ready when it does.
    """

    name: str
    argv: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    socket: Path | None = None
    listens: tuple[IPv4Address, int] | None = None


class Child:
    """One program's process. All methods belong to one thread, as the child dies with the thread that started it.

    Args:
        program: what to run.
        log: the file that hears what it says.
        namespace: the network namespace it lives in; the caller's unless given.
    """

    def __init__(self, program: Program, log: Path, namespace: str | None = None) -> None:
        self.program = program
        self._namespace = namespace
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        """Say whether the process is there."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """Give the process's number while it runs."""
        return self._process.pid if self._process is not None and self.is_running else None

    def start(self) -> None:
        """Start the program unless it runs."""
        if self.is_running:
            return
        if self.program.socket is not None:
            self.program.socket.unlink(missing_ok=True)
        inside = ["nsenter", f"--net={namespace_path(self._namespace)}"] if self._namespace else []
        # the signal survives exec, and reaches the program even when this process is killed
        argv = [*inside, "setpriv", "--pdeathsig", "KILL", "--", *self.program.argv]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env={"PATH": _PATH, **self.program.environment},
            )

    def await_ready(self, seconds: float = 20.0) -> None:
        """Wait until the program's socket is there.

        Raises:
            Problem: it ended, or did not come up in time.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not self.is_running:
                words = self._log.read_text(errors="replace").strip().splitlines()
                raise Problem(
                    f"`{self.program.name}` ended at once: {words[-1] if words else 'it said nothing'}",
                    where=str(self._log),
                )
            if self._is_ready():
                return
            time.sleep(_POLL_SECONDS)
        raise Problem(f"`{self.program.name}` did not come up in {seconds:.0f} s", where=str(self._log))

    def _is_ready(self) -> bool:
        if self.program.socket is not None:
            return self.program.socket.is_socket()
        if self.program.listens is not None:
            assert self._process is not None
            return _listens(self._process.pid, *self.program.listens)
        return True

    def stop(self) -> None:
        """End the program, kindly first."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self.program.socket is not None:
            self.program.socket.unlink(missing_ok=True)


def _listens(pid: int, address: IPv4Address, port: int) -> bool:
    """Look into the table of the network namespace that a process is in.

    Source: proc_pid_net(5); addresses are in the host's byte order, state 0A is LISTEN.
    """
    wanted = f"{int.from_bytes(address.packed, sys.byteorder):08X}:{port:04X}"
    try:
        lines = Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]
    except OSError:
        return False
    return any(fields[1] == wanted and fields[3] == "0A" for fields in map(str.split, lines))
