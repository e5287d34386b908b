"""Makes tar archives whose bytes depend on nothing but names, modes and contents."""

from __future__ import annotations

import io
import tarfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast


@dataclass(frozen=True)
class Member:
    """One entry of an archive: a directory without content, a file with bytes or a path, or a symbolic link."""

    name: str
    content: bytes | Path | None = None
    mode: int = 0o755
    owner: int = 0
    link: str | None = None


class _Gzip:
    """A gzip stream without name and time, so that the same content gives the same bytes."""

    HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out
        # level 1: archives are unpacked on every node and travel over a loopback
        self._deflate = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
        self._crc = 0
        self._size = 0
        out.write(self.HEADER)

    def write(self, data: bytes) -> int:
        self._crc = zlib.crc32(data, self._crc)
        self._size += len(data)
        self._out.write(self._deflate.compress(data))
        return len(data)

    def close(self) -> None:
        self._out.write(self._deflate.flush())
        self._out.write(self._crc.to_bytes(4, "little") + (self._size & 0xFFFFFFFF).to_bytes(4, "little"))


def write(path: Path, members: Iterable[Member], *, gzip: bool) -> None:
    """Write the members, sorted by name, with their parent directories, owned by number, dated 1970."""
    with path.open("wb") as file:
        stream = _Gzip(file) if gzip else None
        target = cast("IO[bytes]", stream or file)
        with tarfile.open(fileobj=target, mode="w|", format=tarfile.GNU_FORMAT) as archive:
            for member in _with_parents(members):
                _append(archive, member)
        if stream:
            stream.close()


def _with_parents(members: Iterable[Member]) -> list[Member]:
    named = {member.name: member for member in members}
    for name in list(named):
        parent = name.rpartition("/")[0]
        while parent and parent != ".":
            named.setdefault(parent, Member(parent))
            parent = parent.rpartition("/")[0]
    return [named[name] for name in sorted(named)]


def _append(archive: tarfile.TarFile, member: Member) -> None:
    header = tarfile.TarInfo(member.name)
    header.mode = member.mode
    header.uid = header.gid = member.owner
    if member.link is not None:
        header.type, header.linkname = tarfile.SYMTYPE, member.link
        archive.addfile(header)
    elif member.content is None:
        header.type = tarfile.DIRTYPE
        archive.addfile(header)
    elif isinstance(member.content, bytes):
        header.size = len(member.content)
        archive.addfile(header, io.BytesIO(member.content))
    else:
        header.size = member.content.stat().st_size
        with member.content.open("rb") as content:
            archive.addfile(header, content)
