"""Reads what an archive holds."""

from __future__ import annotations

import tarfile
from pathlib import Path


def files(path: Path) -> set[str]:
    """List the files of an archive, compressed or not."""
    with tarfile.open(path, "r:*") as archive:
        return {member.name for member in archive if member.isfile()}
