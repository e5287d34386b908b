"""A daemon is on record before it does anything, so that whoever takes the lab down finds it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from generator.lab import bringup
from generator.lab import state as states
from generator.lab.display import Display
from generator.lab.machines import cgroups, host
from generator.lab.process import Process, wait_until_gone
from generator.lab.state import State
from generator.release.lock_file import Release
from tests.described import TUTORIAL

# in the daemon's place: does what it does first, then nothing
STAND_IN = "import sys, time; sys.stdin.buffer.readline() == b'recorded\\n' and time.sleep(300)"
# starts it, and is killed at the moment that is asked for
START = """\
import os, signal, subprocess, sys
from pathlib import Path
from generator.lab import bringup
from generator.lab.state import State

def record(path, values):
    print(values["pid"], flush=True)
    if sys.argv[3] == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    written(path, values)
    if sys.argv[3] == "after":
        os.kill(os.getpid(), signal.SIGKILL)

written, bringup.write_record = bringup.write_record, record
bringup.DAEMON = (sys.executable, "-c", sys.argv[2])
state = State("lab", Path(sys.argv[1]), Path(sys.argv[1]) / "cache")
state.claim()
bringup._start(state)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> State:
    """A lab apart from whatever else runs on this host: its groups and namespaces are not looked at."""
    monkeypatch.setattr(cgroups, "hierarchies", lambda: ())
    monkeypatch.setattr(states, "NAMESPACES_DIRECTORY", tmp_path / "netns")
    monkeypatch.setattr(host, "machine_names", lambda _: ())
    monkeypatch.setattr(host, "forget", lambda _: None)
    monkeypatch.setattr(host.network, "destroy", lambda _: None)
    return State("lab", tmp_path / "labs", tmp_path / "labs" / "cache")


def start(state: State, moment: str, program: str = STAND_IN) -> Process | None:
    """Start a daemon by somebody who is killed, and find it if it still runs."""
    command = [sys.executable, "-c", START, str(state.labs), program, moment]
    done = subprocess.run(command, check=False, timeout=30, stdout=subprocess.PIPE)
    assert done.returncode == -signal.SIGKILL
    return Process.find(int(done.stdout))


def test_a_daemon_whose_starter_was_killed_is_found_and_goes(state: State) -> None:
    process = start(state, "afterwards")
    assert process is not None
    assert process == bringup.daemon(state)
    assert host.processes(state) == (process,)
    assert [each.kind for each in host.leftovers(state)] == ["file", "process"]
    host.cleanup(state)
    assert not process.is_alive
    assert not state.directory.exists()


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_daemon_that_was_not_told_that_it_is_on_record_ends_and_makes_nothing(state: State, moment: str) -> None:
    process = start(state, moment, "import runpy; runpy.run_module('generator.lab.daemon', run_name='__main__')")
    assert process is None or wait_until_gone([process], 20) == ()
    assert (state.directory / "daemon.json").exists() == (moment == "after")
    assert not (state.directory / "one-daemon.lock").exists()


def test_a_daemon_that_runs_is_not_started_again(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bringup, "DAEMON", (sys.executable, "-c", STAND_IN))
    state.claim()
    bringup._start(state)
    process = bringup.daemon(state)
    assert process is not None
    bringup._start(state)
    assert bringup.daemon(state) == process
    process.kill()
    assert wait_until_gone([process], 10) == ()


def test_it_serves_the_order_book_that_the_description_names(
    state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = f"docker.io/me/book:1@sha256:{'a' * 64}"
    file = tmp_path / "cluster.yaml"
    file.write_text(f"{TUTORIAL}order_book: {{image: '{own}'}}\n")
    served: list[Release] = []

    class Enough(Exception):  # noqa: N818 - nothing is wrong
        """What the lab serves is known."""

    def prepare(_: State, release: Release, *rest: object) -> None:
        served.append(release)
        raise Enough

    monkeypatch.setattr(bringup.requirements, "missing", lambda *_: [])
    monkeypatch.setattr(bringup, "prepare", prepare)
    with pytest.raises(Enough):
        bringup.up(state, file, None, Display())
    assert served[0].image("order-book").pinned == own
    assert {image.name for image in served[0].images} >= {"pause", "coredns", "traefik", "postgres"}
