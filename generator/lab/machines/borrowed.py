"""Remembers what labs change in their host, and gives it back with the last: controllers, modules, a limit."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from generator.errors import Problem
from generator.files import make_private_directory
from generator.lab.process import run
from generator.lab.state import CGROUPS_DIRECTORY, State, read_record, write_record

Kind = Literal["controllers", "modules"]
_RECORD = "borrowed.json"
WATCHERS = Path("/proc/sys/fs/inotify/max_user_instances")
# A control-plane node with our addons has 26, as counted in /proc/*/fd; other programs of root's get the rest.
_WATCHERS_OF_A_DROPLET, _WATCHERS_OF_THE_HOST = 30, 32


def note(state: State, kind: Kind, names: Iterable[str]) -> None:
    """Write down what is about to be switched on, so that nothing is forgotten by a crash."""
    with _locked(state):
        record = read_record(state.labs / _RECORD) or {"version": 1}
        record[kind] = sorted({*record.get(kind, ()), *names})
        write_record(state.labs / _RECORD, record)


def note_first(state: State, kind: Kind, names: Iterable[str]) -> None:
    """Write down what is off while the first lab comes up; for later ones it can't be told any more."""
    if kind not in (read_record(state.labs / _RECORD) or {}):
        note(state, kind, names)


def watchers(state: State, droplets: int) -> int | None:
    """Let root have as many inotify instances as the droplets of all labs take; give the limit where it was raised.

    They are counted by user, and all droplets of a host are root's. Without one a kubelet doesn't start.

    Source: inotify(7), user_namespaces(7)
    """
    with _locked(state):
        record = read_record(state.labs / _RECORD) or {"version": 1}
        before = record.get("watchers", {"droplets": {}, "was": None})
        counted: dict[str, int] = {**before["droplets"], state.name: droplets}
        limit, needed = (
            int(WATCHERS.read_text()),
            _WATCHERS_OF_THE_HOST + _WATCHERS_OF_A_DROPLET * sum(counted.values()),
        )
        was = limit if before["was"] is None and needed > limit else before["was"]
        write_record(state.labs / _RECORD, {**record, "watchers": {"droplets": counted, "was": was}})
        if needed <= limit:
            return None
        with suppress(OSError):  # a container may not: what is there has to do
            WATCHERS.write_text(str(needed))
        return needed


def left(state: State) -> tuple[Path, ...]:
    """Give the record, where it outlives the last lab."""
    path = state.labs / _RECORD
    return (path,) if path.exists() and not others(state) else ()


def others(state: State) -> tuple[str, ...]:
    """Name the other labs of this host that have a directory."""
    if not state.labs.is_dir():
        return ()
    return tuple(sorted(path.name for path in state.labs.iterdir() if path.is_dir() and path.name != state.name))


def give_back(state: State) -> None:
    """Switch off what labs switched on, unless another lab is there; safe to repeat."""
    if not state.labs.is_dir():
        return
    with _locked(state):
        record = read_record(state.labs / _RECORD) or {}
        if others(state):
            if record.get("watchers", {}).get("droplets", {}).pop(state.name, None) is not None:
                write_record(state.labs / _RECORD, record)
            return
        if controllers := record.get("controllers"):
            with suppress(OSError):  # somebody else has come to need it since
                (CGROUPS_DIRECTORY / "cgroup.subtree_control").write_text(" ".join(f"-{name}" for name in controllers))
        if (was := record.get("watchers", {}).get("was")) is not None:
            with suppress(OSError):
                WATCHERS.write_text(str(was))
        _unload(set(record.get("modules", ())))
        (state.labs / _RECORD).unlink(missing_ok=True)
        with suppress(OSError):  # where it was there before, and holds other things
            state.labs.rmdir()


def _unload(modules: set[str]) -> None:
    """Unload modules that nobody uses; each may free the next."""
    while idle := sorted(modules & _idle_modules()):
        for module in idle:
            with suppress(Problem):  # somebody else has come to need it since
                run(["modprobe", "--remove", module])
        if idle == sorted(modules & _idle_modules()):
            return


def _idle_modules() -> set[str]:
    # Source: proc_modules(5): name, size, how many use it
    try:
        lines = Path("/proc/modules").read_text().splitlines()
    except FileNotFoundError:  # a kernel without modules
        return set()
    return {name for name, _, users, *_ in map(str.split, lines) if users == "0"}


@contextmanager
def _locked(state: State) -> Iterator[None]:
    make_private_directory(state.labs)
    descriptor = os.open(state.labs, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
