"""Gives the node's files and facts, runs commands, and says how a step fails."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

ROOT = Path("/")
FACTS = "/etc/hardway/node.json"
# What came beside the document: as cloud-init leaves it at every boot, and as later boots keep it.
LAUNCH, KEPT = "/run/hardway/launch.json", "/etc/hardway/launch.json"
ROSTER = "/var/lib/hardway/roster.json"
# Of JSON that others write; a Node with all who manage its fields has less than half of it.
DEPTH = 64


class Failure(Exception):  # noqa: N818 - not always an error
    """A step has failed; it may succeed when systemd tries it again."""


class Terminal(Failure):
    """A step has failed and never will succeed on this droplet."""


def at(path: str) -> Path:
    """Find a path of the node."""
    return ROOT / path.lstrip("/")


def read(path: str) -> Any:
    """Read a JSON file; None when there is none."""
    try:
        return json.loads(at(path).read_text())
    except FileNotFoundError:
        return None


def parse(text: bytes | str) -> Any:
    """Read JSON that somebody else wrote.

    Raises:
        Failure: it is none, or is nested deeper than anything that is meant.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Failure(f"what was sent is no JSON ({type(error).__name__})") from None
    level = [found]
    for _ in range(DEPTH):
        level = [
            inner
            for outer in level
            if isinstance(outer, (dict, list))
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return found
    raise Failure(f"what was sent is nested more than {DEPTH} deep")


def write(path: str, data: bytes | str, mode: int = 0o600, user: str = "root", group: str = "root") -> None:
    """Write a file whole or not at all; owner and mode come before the content."""
    target = at(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=".", dir=target.parent)
    fresh = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if os.geteuid() == 0:
                shutil.chown(fresh, user, group)
            fresh.chmod(mode)
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(descriptor)
        fresh.replace(target)
    finally:
        fresh.unlink(missing_ok=True)


def facts() -> dict[str, Any]:
    """Give what the reviewed document says of this node."""
    return dict(read(FACTS))


def launch() -> dict[str, Any]:
    """Give what came beside the document."""
    found = read(LAUNCH) or read(KEPT)
    if not found:
        raise Failure("there is no launch part: cloud-init has not left one")
    return dict(found)


def run(*argv: str, stdin: str | None = None, timeout: float = 60) -> str:
    """Return what a command prints; its last words become the failure."""
    try:
        done = subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=timeout)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failure(f"`{argv[0]}`: {type(error).__name__}") from None
    return _ended(argv, done)


def pipe(*argv: str, source: Path | None = None, target: Path | None = None, timeout: float = 60) -> None:
    """Let a command read one file and write another, which is made for its owner alone."""
    with (source or Path(os.devnull)).open("rb") as reading, (target or Path(os.devnull)).open("wb") as writing:
        if target is not None:
            target.chmod(0o600)
        try:
            done = subprocess.run(
                argv, stdin=reading, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=timeout
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Failure(f"`{argv[0]}`: {type(error).__name__}") from None
    _ended(argv, done)


def _ended(argv: tuple[str, ...], done: subprocess.CompletedProcess[str]) -> str:
    if done.returncode:
        said = " ".join(done.stderr.split())[-600:] or f"exit status {done.returncode}"
        raise Failure(f"`{' '.join(argv[:3])}`: {said}")
    return done.stdout


def console(line: str) -> None:
    """Print to every screen that the provider may show, or where there is none to the journal.

    What the kernel's log says comes on all of its consoles, also when they are told to be quiet; a container's kernel
    and terminals are its host's.
    """
    screens = {"/dev/console": f"{line}\n"}
    if not at("/run/systemd/container").exists():
        screens |= {"/dev/tty1": f"\r{line}\n", "/dev/kmsg": f"<3>{line[:900]}\n"}
    told = 0
    for screen, text in screens.items():
        with suppress(OSError), at(screen).open("w") as file:
            told += file.write(text)
    if not told:
        print(line, flush=True)
