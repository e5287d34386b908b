"""Reads what Debian's packages bring as the files of an image: no package manager, no scripts of theirs."""

from __future__ import annotations

import re
import subprocess
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import cast

from generator.errors import Problem
from generator.lab.content import debian
from generator.lab.content.archive import Member
from generator.lab.content.cache import Cache
from generator.lab.content.fetch import Fetcher
from generator.lab.process import bound

# What only maintainer scripts and ciphers of the past need.
LEFT_OUT = ("adduser", "debconf", "gawk", "init-system-helpers", "openssl-provider-legacy", "passwd", "perl")
UNUSED = re.compile(
    r"usr/share/(bug|doc|info|lintian|locale|man)(/|$)"
    r"|usr/lib/x86_64-linux-gnu/gconv/|usr/lib/x86_64-linux-gnu/audit/"
)


def members(
    cache: Cache,
    fetcher: Fetcher,
    name: str,
    wanted: Iterable[str],
    *,
    left_out: Iterable[str] = LEFT_OUT,
    unused: re.Pattern[str] = UNUSED,
) -> dict[str, Member]:
    """Fetch packages with all they depend on and give their files by path.

    Args:
        name: the image, for messages.
        left_out: packages that others name and the image does without.
        unused: paths that the image does without.

    Raises:
        Problem: a package cannot be had, or not be read.
    """
    found: dict[str, Member] = {}
    for stanza in debian.load(fetcher).closure(wanted, base=left_out):
        if not fetcher.file(stanza.name, stanza.urls, stanza.sha256):
            raise Problem(f"the package `{stanza.name}` {stanza.version} cannot be fetched", where=name)
        fetcher.progress.step(name, f"unpack {stanza.name}")
        for member in _files(cache.blob(stanza.sha256), name):
            if not unused.search(member.name):
                found.setdefault(member.name, member)
    return found


def _files(package: Path, image: str) -> Iterator[Member]:
    """Read the files of a package, wherever it still names them outside /usr as a merged /usr has them."""
    process = subprocess.Popen(bound(["dpkg-deb", "--fsys-tarfile", str(package)]), stdout=subprocess.PIPE)
    assert process.stdout is not None
    seen: dict[str, bytes] = {}
    with process, tarfile.open(fileobj=process.stdout, mode="r|") as archive:
        for entry in archive:
            name = re.sub(r"^(bin|lib|lib64|sbin)/", r"usr/\1/", entry.name.removeprefix("./"))
            if entry.isfile():
                seen[entry.name] = cast("tarfile.ExFileObject", archive.extractfile(entry)).read()
                yield Member(name, seen[entry.name], mode=entry.mode & 0o777)
            elif entry.islnk():
                yield Member(name, seen[entry.linkname], mode=entry.mode & 0o777)
            elif entry.issym():
                yield Member(name, link=entry.linkname, mode=0o777)
            elif name not in (".", ""):
                yield Member(name, mode=entry.mode & 0o7777)
    if process.returncode != 0:
        raise Problem(f"`dpkg-deb` cannot unpack {package.name}", where=image)
