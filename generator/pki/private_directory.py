"""Says whether a directory may hold secrets, and reads and guards what is in it: modes, owners, links, git."""

from __future__ import annotations

import fcntl
import os
import pwd
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from generator import git
from generator.errors import Problem

_DIRECTORY = 0o700
_FILE = 0o600


def faults(root: Path) -> list[Problem]:
    """Find everything in a private directory that others may read, own or redirect; nothing yet is no fault."""
    found = []
    if root.parent.is_symlink():
        found.append(_link(root.parent))
    if not root.is_symlink() and not root.exists():
        return found
    found += _faults_of(root)
    if found:
        return found
    for directory, directories, files in os.walk(root, followlinks=False):
        for name in sorted([*directories, *files]):
            found += _faults_of(Path(directory, name))
    return found


def exposed(root: Path, names: Iterable[str]) -> list[Problem]:
    """Find out whether git would commit any of these files of a private directory, or has.

    Raises:
        Problem: git can't tell.
    """
    base = _nearest(root)
    if not git.surrounds(base):
        return []
    paths = [str(root.absolute() / name) for name in names]
    listed = "".join(f"{path}\0" for path in paths)
    ignored = set(git.ask(base, ["check-ignore", "-z", "--stdin", "--no-index"], listed, accepted=(0, 1)).split("\0"))
    bare = [path for path in paths if path not in ignored]
    if bare:
        message = f"git does not ignore `{Path(bare[0]).name}` here, so a commit would publish it"
        return [Problem(message, where=str(root), hint=f"write a line with `*` into `{root.parent / '.gitignore'}`")]
    tracked = git.ask(base, ["ls-files", "-z", "--", str(root.absolute())]).split("\0")
    if any(tracked):
        return [
            Problem(
                f"git has `{Path(tracked[0]).name}` of this directory under version control",
                where=str(root),
                hint="what was ever committed is no secret any more: make a new cluster, or take it out of the history",
            )
        ]
    return []


def read(path: Path) -> bytes | None:
    """Read a file without following a link; None when there is none."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        return file.read()


@contextmanager
def held(root: Path) -> Iterator[None]:
    """Keep other runs of the program out of a directory, and sweep up what a killed run left half-written.

    Raises:
        Problem: another run is at it.
    """
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            hint = "wait until it has ended, then try again"
            raise Problem("another run of `gen` is making keys here", where=str(root), hint=hint) from error
        for left in root.rglob(".*.????????"):
            left.unlink()
        yield
    finally:
        os.close(descriptor)


def settle(root: Path) -> None:
    """Make sure that new directories outlast a power cut, as the files in them already do."""
    directories = [root.parent, root, *(path for path in root.rglob("*") if path.is_dir())]
    for directory in directories:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _faults_of(path: Path) -> list[Problem]:
    facts = path.lstat()
    if stat.S_ISLNK(facts.st_mode):
        return [_link(path)]
    if not stat.S_ISDIR(facts.st_mode) and not stat.S_ISREG(facts.st_mode):
        return [Problem("is neither a file nor a directory", where=str(path), hint="move it away")]
    found = []
    if facts.st_uid != os.geteuid():
        owner, self = _user(facts.st_uid), _user(os.geteuid())
        hint = f"run `gen` as {owner}, or give the files to {self}"
        found.append(Problem(f"belongs to {owner}, not to {self}", where=str(path), hint=hint))
    wanted = _DIRECTORY if stat.S_ISDIR(facts.st_mode) else _FILE
    mode = stat.S_IMODE(facts.st_mode)
    if mode & ~wanted:
        message = f"has mode {mode:04o}, which lets others at it"
        found.append(Problem(message, where=str(path), hint=f"`chmod {wanted:o} {path}`, if nobody has read it yet"))
    return found


def _link(path: Path) -> Problem:
    return Problem("is a symbolic link", where=str(path), hint="put the files themselves here")


def _user(number: int) -> str:
    try:
        return f"{pwd.getpwuid(number).pw_name} (uid {number})"
    except KeyError:
        return f"uid {number}"


def _nearest(path: Path) -> Path:
    """Find the closest directory that exists, from a path upwards."""
    path = path.absolute()
    return next(place for place in (path, *path.parents) if place.is_dir())
