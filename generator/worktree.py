"""Reads, lists, writes and removes what lies in a repository, whose author may be anyone.

Below the directory that the user named no link is followed, at any level; nothing but regular files is opened, and
no file before its size is known. Paths here are relative to that directory, with `/` between their parts.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from generator.errors import Problem

LIMIT_ENTRIES, LIMIT_DEPTH = 20_000, 32
"""More files, or more directories in each other, than this are no tree of ours."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LINK = "is a symbolic link, and no link is followed here"
_HINT = "put the file or directory itself there; if you did not make the link, look at who did"


@dataclass(frozen=True)
class Entry:
    """Something in a tree that is no directory."""

    kind: Literal["file", "link", "special"]
    size: int


def read(base: Path, path: str, *, limit_bytes: int) -> bytes | None:
    """Read a file; None when it or a directory above it is not there.

    Raises:
        Problem: a link or something special is in the way, or the file is longer than the limit.
    """
    parent, _, name = path.rpartition("/")
    try:
        with _opened(base, parent) as directory, _descriptor(name, _READ, directory, base / path) as descriptor:
            facts = os.fstat(descriptor)
            if not stat.S_ISREG(facts.st_mode):
                raise Problem("not a regular file", where=str(base / path))
            with os.fdopen(os.dup(descriptor), "rb") as file:
                data = file.read(limit_bytes + 1) if facts.st_size <= limit_bytes else b""
            size = max(facts.st_size, len(data))
    except FileNotFoundError:
        return None
    if size > limit_bytes:
        raise Problem(f"the file has {size:,} bytes, at most {limit_bytes:,} are read", where=str(base / path))
    return data


def entries(base: Path, path: str) -> dict[str, Entry]:
    """List everything below a directory that is no directory itself, by its path below that; nothing is opened.

    Raises:
        Problem: a link is in the way to the directory, or there is far too much in it.
    """
    found: dict[str, Entry] = {}
    try:
        with _opened(base, path) as directory:
            for name, entry in _walk(directory, ""):
                found[name] = entry
                if len(found) > LIMIT_ENTRIES:
                    raise Problem(f"holds more than {LIMIT_ENTRIES:,} files", where=str(base / path))
    except FileNotFoundError:
        return {}
    return dict(sorted(found.items()))


def write(base: Path, path: str, data: bytes, *, mode: int = 0o644) -> None:
    """Write a file whole or not at all, and the directories above it.

    Raises:
        Problem: a link or something special is where a file or directory of ours should be.
    """
    parent, _, name = path.rpartition("/")
    with _opened(base, parent, make=True) as directory:
        _require_file_or_nothing(name, directory, base / path)
        temporary = f".{name}.{secrets.token_hex(4)}"
        descriptor = os.open(temporary, _CREATE, mode, dir_fd=directory)
        try:
            with os.fdopen(descriptor, "wb") as file:
                os.fchmod(file.fileno(), mode)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=directory)
            raise
        os.fsync(directory)


def make_directory(base: Path, path: str, *, mode: int = 0o755) -> None:
    """Make a directory with this mode, unless it is there.

    Raises:
        Problem: a link or something special is where the directory should be.
    """
    parent, _, name = path.rpartition("/")
    with _opened(base, parent, make=True) as directory:
        with suppress(FileExistsError):
            os.mkdir(name, mode, dir_fd=directory)
        with _descriptor(name, _DIRECTORY, directory, base / path):
            pass


def remove(base: Path, path: str, *, up_to: str) -> None:
    """Remove a regular file, and the directories above it that are empty then, but none above `up_to`.

    Raises:
        Problem: it is no regular file, or a link is in the way.
    """
    parent, _, name = path.rpartition("/")
    try:
        with _opened(base, parent) as directory:
            _require_file_or_nothing(name, directory, base / path)
            os.unlink(name, dir_fd=directory)
    except FileNotFoundError:
        return
    while parent.startswith(f"{up_to}/"):
        above, _, name = parent.rpartition("/")
        with _opened(base, above) as directory:
            try:
                os.rmdir(name, dir_fd=directory)
            except OSError:
                return
        parent = above


@contextmanager
def _opened(base: Path, path: str, *, make: bool = False) -> Iterator[int]:
    """Open a directory part by part, each by its parent's descriptor."""
    current = os.open(base, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        here = base
        for part in path.split("/") if path else ():
            here /= part
            if make:
                with suppress(FileExistsError):
                    os.mkdir(part, dir_fd=current)
            with _descriptor(part, _DIRECTORY, current, here) as descriptor:
                following = os.dup(descriptor)
            os.close(current)
            current = following
        yield current
    finally:
        os.close(current)


@contextmanager
def _descriptor(name: str, flags: int, directory: int, shown: Path) -> Iterator[int]:
    try:
        descriptor = os.open(name, flags, dir_fd=directory)
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            raise
        facts = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if stat.S_ISLNK(facts.st_mode):
            raise Problem(_LINK, where=str(shown), hint=_HINT) from error
        if flags & os.O_DIRECTORY and not stat.S_ISDIR(facts.st_mode):
            raise Problem("is not a directory", where=str(shown)) from error
        if not flags & os.O_DIRECTORY and not stat.S_ISREG(facts.st_mode):
            raise Problem("not a regular file", where=str(shown)) from error
        raise Problem(f"cannot be read: {error.strerror}", where=str(shown)) from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _walk(directory: int, prefix: str) -> Iterator[tuple[str, Entry]]:
    with os.scandir(directory) as listed:
        names = sorted(entry.name for entry in listed)
    for name in names:
        try:
            facts = os.stat(name, dir_fd=directory, follow_symlinks=False)
            if stat.S_ISDIR(facts.st_mode):
                if prefix.count("/") >= LIMIT_DEPTH:
                    raise Problem(f"directories are more than {LIMIT_DEPTH} deep", where=f"{prefix}{name}")
                below = os.open(name, _DIRECTORY, dir_fd=directory)
                try:
                    yield from _walk(below, f"{prefix}{name}/")
                finally:
                    os.close(below)
                continue
        except FileNotFoundError:
            continue
        kind: Literal["file", "link", "special"] = "special"
        if stat.S_ISREG(facts.st_mode):
            kind = "file"
        elif stat.S_ISLNK(facts.st_mode):
            kind = "link"
        yield f"{prefix}{name}", Entry(kind, facts.st_size)


def _require_file_or_nothing(name: str, directory: int, shown: Path) -> None:
    try:
        facts = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return
    if stat.S_ISLNK(facts.st_mode):
        raise Problem(_LINK, where=str(shown), hint=_HINT)
    if not stat.S_ISREG(facts.st_mode):
        raise Problem("not a regular file", where=str(shown))
