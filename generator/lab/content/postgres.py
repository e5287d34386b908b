"""Makes the image of Postgres from Debian's packages: their files alone, no package manager, no scripts of theirs."""

from __future__ import annotations

import re

from generator.lab.content import images, unpack
from generator.lab.content.archive import Member
from generator.lab.content.cache import Cache
from generator.lab.content.fetch import Fetcher
from generator.lab.content.golang import SOURCE

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
    wanted = [f"postgresql-{major}", f"postgresql-client-{major}", *SHELL]
    members = unpack.members(cache, fetcher, "postgres", wanted, left_out=LEFT_OUT, unused=UNUSED)
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
    fetcher.progress.step("postgres", "write the image")
    return images.make(cache, "postgres", members.values(), settings)
