"""Runs `gen` in a process of its own that can be killed, against a world on loopback; its clock waits less."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import sys
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from signal import SIGINT, default_int_handler
from signal import signal as handle

import boto3  # noqa: F401 - loaded once, before processes are forked
import pydo  # noqa: F401
import pytest
import rich.live  # noqa: F401
import urllib3  # noqa: F401

from generator import clock
from generator.cli import launch as launch_verb  # noqa: F401
from generator.cli import main as cli
from generator.cluster import (
    assembly,
    gate,
    launch_lock,  # noqa: F401
    watch,
)
from generator.description import tutorial
from generator.documents import committed, render
from generator.lab.content.cache import Cache
from generator.plan.project import Project
from generator.provider.connection import Connection
from generator.release import lock_file
from generator.release.lock_file import Release
from tests.contract.world import World, debian

HASTE = 20


@dataclass(frozen=True)
class Outcome:
    """How a run ended and what it said; the code is negative when it was killed."""

    code: int
    out: str
    err: str


def ok(outcome: Outcome) -> Outcome:
    """Give a run's outcome, which has to be that all went well."""
    assert outcome.code == 0, outcome.err
    return outcome


def versitygw() -> Path:
    """Find the object store: in the lab's cache, where builds leave it, or on PATH."""
    cached = sorted((Cache.default().directory / "tools").glob("*/versitygw"), key=lambda path: path.stat().st_mtime)
    found = str(cached[-1]) if cached else shutil.which("versitygw")
    if found is None:
        message = "versitygw is missing: `gen lab build` makes it"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    return Path(found)


PACKAGED = ("age", "haproxy", "xfsprogs")


def render_tutorial(directory: Path) -> Project:
    """Render the tutorial's cluster with a lock in which every image has a digest."""
    tutorial.init(directory, "orderbook", "pinned", api=["28.51.100.7"])
    (directory / "releases").mkdir()
    (directory / "releases" / "pinned.yaml").write_text(lock_file.dump(pinned()))
    project = render.refresh(Project.load(directory / "cluster.yaml"), now=datetime.now(UTC))
    committed.write(project, render.documents(project))
    return Project.load(directory / "cluster.yaml")


def pinned() -> Release:
    """Give a lock in which every image has a digest, with three packages that the world's archive of Debian has."""
    known = lock_file.load("k8s-1.36", Path())
    images = tuple(replace(image, digest=f"sha256:{'a' * 64}") for image in known.images)
    packages = tuple(
        replace(one, sha256=sha256(debian(one.name)).hexdigest()) for one in known.packages if one.name in PACKAGED
    )
    return replace(known, name="pinned", images=images, packages=packages)


def gen(
    world: World,
    project: Project | None,
    *arguments: str,
    die_at: int | None = None,
    signal: int = 9,
    away: tuple[str, int, float] | None = None,
) -> Outcome:
    """Run one command against the lab's world, and end it by a signal once its n-th change has taken effect.

    Args:
        away: a service, the number of the change after which nobody is answered by it, and for how many seconds.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    out, err = world.directory / "out", world.directory / "err"
    with world.fate.lock:
        world.fate.count, world.fate.at, world.fate.signal = 0, die_at, signal
        if away is not None:
            service, world.fate.at, seconds = away
            world.fate.then = lambda: world.away_until.update({service: time.monotonic() + seconds})
    words = [*arguments, "--lab", *(["-f", str(project.file)] if project else [])]
    process = context.Process(target=_run, args=(words, world.connection, out, err, dict(os.environ)))
    process.start()
    world.fate.process = process.pid
    process.join(90)
    assert process.exitcode is not None, "the run does not end"
    with world.fate.lock:
        world.fate.process = world.fate.at = world.fate.then = None
    return Outcome(process.exitcode, out.read_text(), err.read_text())


def _run(words: list[str], connection: Connection, out: Path, err: Path, environment: dict[str, str]) -> None:
    os.environ.update(environment)  # the server that forks has that of the first test
    handle(SIGINT, default_int_handler)  # a shell's background job has it ignored, and these tests may run in one
    real = clock.Clock
    clock.Clock = lambda: real(sleep=lambda seconds: time.sleep(seconds / HASTE))  # type: ignore[misc,assignment]
    assembly.SECOND_LOOK = timedelta(seconds=0.5)
    watch.PATIENCE = timedelta(seconds=1)
    gate.PATIENCE = timedelta(seconds=1)
    cli._lab_connection = lambda _: connection
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.redirect_stdout(stack.enter_context(out.open("w", buffering=1))))
        stack.enter_context(contextlib.redirect_stderr(stack.enter_context(err.open("w", buffering=1))))
        code = cli.run(words)
    sys.exit(code)
