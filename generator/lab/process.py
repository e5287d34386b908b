"""Runs host commands, and knows a process again by its number and start time, never by its name."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from generator import liveness
from generator.errors import Problem

_POLL_SECONDS = 0.02


@dataclass(frozen=True, order=True)
class Process:
    """A process of this host; the start time tells it from a later one with the same number."""

    pid: int
    start_time: int

    @classmethod
    def find(cls, pid: int) -> Process | None:
        """Look at a live process; one that has ended but was not waited for counts as gone."""
        start_time = _start_time(pid)
        return None if start_time is None else cls(pid, start_time)

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Process:
        """Read what `to_record` wrote."""
        return cls(int(record["pid"]), int(record["start_time"]))

    def to_record(self) -> dict[str, int]:
        """Give the JSON form."""
        return {"pid": self.pid, "start_time": self.start_time}

    @property
    def is_alive(self) -> bool:
        """Say whether this very process still runs."""
        return _start_time(self.pid) == self.start_time

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to this very process; one that is gone is no mistake."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        try:
            # the descriptor holds one process; only now is it worth asking which one
            if self.is_alive:
                signal.pidfd_send_signal(descriptor, number)
        except ProcessLookupError:
            return
        finally:
            os.close(descriptor)


def wait_until_gone(processes: Iterable[Process], timeout_seconds: float) -> tuple[Process, ...]:
    """Wait for processes to end and reap own children among them; give those that still run."""
    deadline = time.monotonic() + timeout_seconds
    waiting = tuple(processes)
    while True:
        waiting = tuple(process for process in waiting if process.is_alive)
        if not waiting or time.monotonic() > deadline:
            return waiting
        time.sleep(_POLL_SECONDS)


def namespace_pids(pid: int) -> tuple[int, ...]:
    """Give a process's number in each PID namespace it is in, from ours inwards; empty when it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ()
    for line in status.splitlines():
        if line.startswith("NSpid:"):
            return tuple(int(number) for number in line.split()[1:])
    return ()


def all_pids() -> tuple[int, ...]:
    """List the processes that this PID namespace shows."""
    return tuple(int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal())


def run(argv: Sequence[str], *, text: str | None = None) -> str:
    """Run a host command to its end and give its output.

    Raises:
        Problem: it failed; the message holds its last words.
    """
    done = subprocess.run(argv, input=text, text=True, capture_output=True, check=False)
    if done.returncode != 0:
        words = (done.stderr or done.stdout).strip().splitlines()
        raise Problem(f"`{' '.join(argv)}` failed: {words[-1] if words else f'exit code {done.returncode}'}")
    return done.stdout


def bound(argv: Sequence[str]) -> list[str]:
    """Give a command line whose process, and all that it starts, ends when the calling thread does, however it ends.

    What the process starts is bound to it by a PID namespace, which only root can make.
    """
    own = ("unshare", "--pid", "--fork", "--kill-child=SIGKILL") if os.geteuid() == 0 else ()
    return ["setpriv", "--pdeathsig", "KILL", *own, *argv]


def _start_time(pid: int) -> int | None:
    found = liveness.start_time(pid)
    if found is None and Path(f"/proc/{pid}").exists():
        with suppress(ChildProcessError):  # somebody else's child is not ours to wait for
            os.waitpid(pid, os.WNOHANG)
    return found
