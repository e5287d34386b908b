"""Makes the image of Postgres from Debian's packages: their files alone, no package manager, no scripts of theirs."""

from __future__ import annotations

import re
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from generator.errors import Problem
from generator.lab.content import debian, images
from generator.lab.content.archive import Member
from generator.lab.content.cache import Cache
from generator.lab.content.fetch import Fetcher
from generator.lab.content.golang import SOURCE
from generator.lab.process import bound

ENTRY = SOURCE / "postgres" / "docker-entrypoint.sh"
OWNER = 999
BINARIES = "/usr/lib/postgresql/{major}/bin"
SHELL = ("base-files", "bash", "coreutils", "dash", "findutils", "grep", "libc-bin", "sed", "tzdata")
# What only maintainer scripts, the wrappers around several clusters and the compiler of queries (jit is off) need.
LEFT_OUT = (
    "adduser",
    "debconf",
    "gawk",
    "init-system-helpers",
    "libllvm19",
    "locales",
    "locales-all",
    "openssl",
    "openssl-provider-legacy",
    "passwd",
    "perl",
    "postgresql-client-common",
    "postgresql-common",
    "ssl-cert",
)
UNUSED = re.compile(
    r"usr/share/(bug|doc|info|lintian|locale|man|postgresql/\d+/man)(/|$)|usr/lib/postgresql/\d+/lib/(bitcode|llvmjit)"
    r"|usr/lib/x86_64-linux-gnu/gconv/|usr/lib/x86_64-linux-gnu/audit/"
)
ACCOUNTS = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/bash\npostgres:x:999:999::/var/lib/postgresql:/bin/bash\n",
    "etc/group": "root:x:0:\npostgres:x:999:\n",
}
DIRECTORIES = (
    Member("run/postgresql", mode=0o3777, owner=OWNER),
    Member("tmp", mode=0o1777),
    Member("var/lib/postgresql", owner=OWNER),
    Member("var/lib/postgresql/data", mode=0o1777, owner=OWNER),
    Member("var/run", link="/run"),
)


def make(cache: Cache, fetcher: Fetcher, major: str) -> str:
    """Make the image and give its digest.

    Raises:
        Problem: a package cannot be had.
    """
    index = debian.load(fetcher)
    stanzas = index.closure([f"postgresql-{major}", f"postgresql-client-{major}", *SHELL], base=LEFT_OUT)
    members: dict[str, Member] = {}
    for stanza in stanzas:
        if not fetcher.file(stanza.name, stanza.urls, stanza.sha256):
            raise Problem(f"the package `{stanza.name}` {stanza.version} cannot be fetched", where="postgres")
        fetcher.progress.step("postgres", f"unpack {stanza.name}")
        for member in _files(cache.blob(stanza.sha256)):
            if not UNUSED.search(member.name):
                members.setdefault(member.name, member)
    for member in DIRECTORIES:
        members[member.name] = member
    for name, text in ACCOUNTS.items():
        members[name] = Member(name, text.encode(), mode=0o644)
    members["usr/local/bin/docker-entrypoint.sh"] = Member("usr/local/bin/docker-entrypoint.sh", ENTRY.read_bytes())
    settings = images.Settings(
        entrypoint=["docker-entrypoint.sh"],
        command=["postgres"],
        user=f"{OWNER}:{OWNER}",
        environment={
            "LANG": "C.UTF-8",
            "PATH": f"/usr/local/bin:/usr/bin:/bin:{BINARIES.format(major=major)}",
            "PGDATA": "/var/lib/postgresql/data",
        },
        ports=[5432],
        # a fast shutdown: the default signal waits for clients to leave by themselves
        stop_signal="SIGINT",
    )
    fetcher.progress.step("postgres", f"write the image of {len(stanzas)} packages")
    return images.make(cache, "postgres", members.values(), settings)


def _files(package: Path) -> Iterator[Member]:
    """Read the files of a Debian package, wherever it still names them outside /usr as a merged /usr has them."""
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
        raise Problem(f"`dpkg-deb` cannot unpack {package.name}", where="postgres")
