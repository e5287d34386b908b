"""Runs the daemon of the lab that the environment names, once whoever started it has noted that it exists."""

from __future__ import annotations

import fcntl
import logging
import os
import sys
from pathlib import Path

from generator.errors import Problem, Problems
from generator.files import make_private_directory
from generator.lab.daemon import control, operations
from generator.lab.daemon.loop import Daemon
from generator.lab.machines import cgroups
from generator.lab.state import State

_log = logging.getLogger("generator.lab.daemon")


def main() -> int:
    """Run the daemon of the lab that the environment names."""
    if sys.stdin.buffer.readline() != control.RECORDED:
        return 1
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), sys.stdin.fileno())
    state = State.named()
    make_private_directory(state.directory / "logs")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    with (state.directory / "one-daemon.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            _log.error("another daemon runs")
            return 1
        return _run(state)


def _run(state: State) -> int:
    # what the daemon starts is in its group as well, so that nothing of a crash can hide
    cgroups.enter(cgroups.make(state, "services"), os.getpid())
    try:
        Daemon(state).run(operations.table)
    except (Problem, Problems) as error:
        _log.error("%s", error)
        return 1
    _log.info("down")
    return 0


if __name__ == "__main__":
    sys.exit(main())
