"""Brings a lab up, takes it down, and has its content made: what the commands do besides reading and printing."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from generator import strict_yaml, worktree
from generator.description.load import load as load_description
from generator.errors import Problem, raise_all
from generator.files import make_private_directory
from generator.lab.content import build, served
from generator.lab.content.cache import Cache
from generator.lab.daemon import control
from generator.lab.daemon.control import RECORDED
from generator.lab.display import Display
from generator.lab.machines import host, kernel, requirements, root
from generator.lab.process import Process, wait_until_gone
from generator.lab.settings import Settings
from generator.lab.state import State, write_record
from generator.lab.unkindness import Unkindness
from generator.plan import images
from generator.release import lock_file
from generator.release.lock_file import Release

COMMANDS = {"nginx": "nginx-light", "dnsmasq": "dnsmasq-base"}
RELEASE = "k8s-1.36"
IDLE = requirements.Need("a lab that is up")
DAEMON = (sys.executable, "-m", "generator.lab.daemon")
daemon = host.daemon
_START_SECONDS = 180.0
_STOP_SECONDS = 30.0
_POLL_SECONDS = 0.1


def up(state: State, file: Path, unkind: Unkindness | None, display: Display) -> None:
    """Bring a lab up, or back after its daemon was killed.

    Args:
        state: the lab.
        file: the description, whose release it serves.
        unkind: how unkind it is; as it was before, or usual, when nothing is said.
        display: hears of the steps.

    Raises:
        Problem: the lab serves another release, content is missing, or the daemon does not come up.
        Problems: the host lacks something, or the description has mistakes.
    """
    spec = load_description(file)
    release = images.chosen(spec, lock_file.load(spec.release, file.parent))
    need = requirements.running(sum(pool.count for pool in spec.pools)) if daemon(state) is None else IDLE
    raise_all(requirements.missing(state, need, COMMANDS))
    for line in requirements.slow(need):
        display.say(f"warning: {line}")
    if daemon(state) is not None:
        serves = Settings.read(state).release
        if serves != release.name:
            raise Problem(f"the lab that is up serves `{serves}`, not `{release.name}`", hint="gen lab down")
        display.step("lab", "is up already")
        _await(state, display)
        return
    old = Settings.read(state) if (state.directory / "settings.json").exists() else None
    if old is not None and old.release != release.name:
        raise Problem(f"what is left of a lab served `{old.release}`, not `{release.name}`", hint="gen lab down")
    moods = unkind or (old.unkind if old else Unkindness(seed=random.SystemRandom().randrange(1 << 31)))
    settings = prepare(state, release, (spec.spaces.region,), moods, display)
    state.claim()
    if loaded := kernel.load(state):
        display.say(f"loaded into the kernel, until the last lab is down: {', '.join(loaded)}")
    settings.write(state)
    _start(state)
    _await(state, display)


def prepare(state: State, release: Release, regions: tuple[str, ...], unkind: Unkindness, display: Display) -> Settings:
    """Have everything at hand that a lab of a release needs."""
    found = served.ensure(release, progress=display, cache=Cache(state.cache))
    base = root.build(state.cache, display)
    return Settings(
        release=release.name,
        hosts=tuple(sorted(release.hosts)),
        files=found.files,
        registries=found.registries,
        tools={name: found.tools[name] for name in ("versitygw", "registry")},
        root=base,
        regions=regions,
        unkind=unkind,
    )


def down(state: State, display: Display) -> None:
    """Take the lab down and leave nothing of it on the host but the cache, whatever state it is in.

    Raises:
        Problem: something would not go.
    """
    if os.geteuid() != 0:
        raise Problem("a lab belongs to root", hint="use `sudo`")
    process = daemon(state)
    if process is not None:
        display.step("services", "stop")
        process.kill(signal.SIGTERM)
        wait_until_gone([process], _STOP_SECONDS)
    display.step("droplets", "switch off and remove")
    host.cleanup(state)


def describe(state: State) -> dict[str, Any]:
    """Say what a lab is, for a list of all: up, down after a crash, or what is left of it."""
    answer: dict[str, Any] = {}
    with contextlib.suppress(Problem):
        answer = control.call(state, "status")
    there = "up" if answer else "coming up" if daemon(state) else f"{len(host.leftovers(state))} things are left"
    return {
        "name": state.name,
        "is": there,
        "release": answer.get("release"),
        "droplets": len(answer["droplets"]) if answer else None,
        "proxy": answer.get("proxy"),
        "made_in": state.made_in,
    }


def make(state: State, name: str, beside: Path | None, display: Display) -> None:
    """Have all content of a release: a lock made from source is built and written, another one's files are fetched.

    Args:
        state: names the cache.
        name: the release; `…-source` means what is built from the release without that ending.
        beside: the directory of the description, where a made lock belongs; without it none is written.
    """
    raise_all(requirements.missing(state, requirements.building(state), COMMANDS))
    here = beside or Path()
    if name.endswith(build.SUFFIX):
        upstream = lock_file.load(name.removesuffix(build.SUFFIX), here)
        release = build.build(upstream, display, cache=Cache(state.cache))
        if beside is not None:
            path, text = f"{lock_file.OWN}/{release.name}.yaml", lock_file.dump(release).encode()
            if worktree.read(beside, path, limit_bytes=lock_file.LIMIT_BYTES) != text:
                worktree.write(beside, path, text)
                display.say(f"wrote {beside / path}")
    else:
        release = lock_file.load(name, here)
    prepare(state, release, (), Unkindness(), display)


def release_of(file: Path) -> str | None:
    """Read the name of a description's release, which may be one that is still to be made; nothing without the file."""
    if not file.exists():
        return None
    value = strict_yaml.load(file).value
    name = value.get("release") if isinstance(value, dict) else None
    return name if isinstance(name, str) else None


def _start(state: State) -> None:
    """Start the daemon unless it runs; from its first step on `down` can find it, also when we are killed."""
    with state.locked("start"):
        if daemon(state) is None:
            _start_daemon(state)


def _start_daemon(state: State) -> None:
    make_private_directory(state.directory / "logs")
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "PYTHONPATH") if name in os.environ}
    environment |= {
        "HARDWAY_LAB": state.name,
        "HARDWAY_LABS": str(state.labs),
        "HARDWAY_CACHE": str(state.cache),
    }
    with (state.directory / "logs" / "daemon.log").open("ab") as log:
        started = subprocess.Popen(
            DAEMON,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            cwd="/",
            env=environment,
            start_new_session=True,
        )
    process = Process.find(started.pid)
    if process is not None:
        write_record(state.directory / host.DAEMON_RECORD, process.to_record())
        assert started.stdin is not None
        with contextlib.suppress(BrokenPipeError), started.stdin:
            # it has waited for this, and ends when it hears nothing: what is not on record does nothing
            started.stdin.write(RECORDED)
    # it is nobody's child to wait for; `_await` sees whether it lives
    started.returncode = 0


def _await(state: State, display: Display) -> None:
    begun = time.monotonic()
    stage = ""
    while time.monotonic() < begun + _START_SECONDS:
        with contextlib.suppress(Problem):
            stage = str(control.call(state, "stage")["stage"])
            if stage == "up":
                return
            display.step("lab", stage)
        if time.monotonic() > begun + 5 and daemon(state) is None:
            break
        time.sleep(_POLL_SECONDS)
    log = state.directory / "logs" / "daemon.log"
    words = log.read_text(errors="replace").strip().splitlines()
    raise Problem(f"the lab did not come up: {words[-1] if words else 'it said nothing'}", where=str(log))
