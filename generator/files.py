"""Writes files whole or not at all, and finds the data that ships with the program."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def resource(name: str) -> Path:
    """Find a data directory (`userdata`, `addons`) in a checkout or in an installed wheel."""
    package = Path(__file__).parent
    installed = package / "_data" / name
    return installed if installed.is_dir() else package.parent / name


def make_private_directory(path: Path) -> None:
    """Make a directory and its missing parents that only the owner can enter (0700)."""
    if not path.parent.is_dir():
        make_private_directory(path.parent)
    path.mkdir(mode=0o700, exist_ok=True)


def write_atomic(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write a file so that a reader sees the old content or the new, also after a crash.

    The mode is set before the first byte is written.
    """
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        os.fchmod(descriptor, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
