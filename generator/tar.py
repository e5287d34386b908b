"""Packs files into a tar that depends on nothing but them: the same bytes on any machine, on any day."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass, field

SECRET, PUBLIC = 0o600, 0o644


@dataclass(frozen=True)
class PackedFile:
    """One file as it will be unpacked; `path` is absolute where that happens."""

    path: str
    content: bytes = field(repr=False)
    mode: int
    owner: str = "root"
    group: str = "root"


def pack(files: Iterable[PackedFile]) -> bytes:
    """Write the files sorted, without times, their owners by name.

    Raises:
        ValueError: a path is relative or occurs twice.
    """
    ordered = sorted(files, key=lambda file: file.path)
    paths = [file.path for file in ordered]
    wrong = [path for path in paths if not path.startswith("/") or ".." in path.split("/") or paths.count(path) > 1]
    if wrong:
        raise ValueError(f"`{wrong[0]}` can't be a path in an archive")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for file in ordered:
            member = tarfile.TarInfo(file.path.removeprefix("/"))
            member.size, member.mode = len(file.content), file.mode
            member.uname, member.gname = file.owner, file.group
            archive.addfile(member, io.BytesIO(file.content))
    return buffer.getvalue()
