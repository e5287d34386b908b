"""Makes the image of Cilium's agent: its own binaries and BPF sources, and of Debian what compiles and filters."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from generator.lab.content import images, unpack
from generator.lab.content.archive import Member
from generator.lab.content.cache import Cache
from generator.lab.content.fetch import Fetcher

RECIPE = 2
"""Changes with what the image is made of, beside the binaries."""
# The agent compiles its programs for the node it runs on, writes the node's packet filter and loads its modules; the
# script that installs the plugin is bash.
PACKAGES = ("base-files", "bash", "clang-19", "coreutils", "ipset", "iptables", "kmod", "libc-bin")
# What it never compiles or links, as it brings its own headers and has the kernel link; and what nobody calls.
LEFT_OUT = (
    *unpack.LEFT_OUT,
    "binutils",
    "debianutils",
    "gawk",
    "gcc",
    "libc6-dev",
    "libclang-common-19-dev",
    "libclang-rt-19-dev",
    "libclang1-19",
    "libgcc-14-dev",
    "libobjc-14-dev",
    "libstdc++-14-dev",
    "llvm-19-linker-tools",
    "openssl-provider-legacy",
    "readline-common",
)
UNUSED = re.compile(rf"{unpack.UNUSED.pattern}|usr/lib/llvm-19/(build|include|share)/|usr/share/gcc/")
SCRIPT = "plugins/cilium-cni/install-plugin.sh"
BPF = "bpf"
TESTS = ("complexity-tests", "test-progs", "tests")
CLANG = "usr/lib/llvm-19/bin/clang"
# What Debian's alternatives would choose.
XTABLES = [f"ip{version}tables{what}" for version in ("", "6") for what in ("", "-restore", "-save")]


def make(cache: Cache, fetcher: Fetcher, binaries: Mapping[str, str], sources: Path) -> str:
    """Make the image and give its digest.

    Args:
        binaries: digest of each command, by name.
        sources: the module's directory.

    Raises:
        Problem: a package cannot be had.
    """
    members = unpack.members(cache, fetcher, "cilium", PACKAGES, left_out=LEFT_OUT, unused=UNUSED)
    own = (
        Member("usr/bin/cilium-agent", cache.blob(binaries["cilium-agent"])),
        Member("opt/cni/bin/cilium-cni", cache.blob(binaries["cilium-cni"])),
        Member("install-plugin.sh", (sources / SCRIPT).read_bytes()),
        Member("usr/bin/clang", link=f"/{CLANG}"),
        *(Member(f"usr/sbin/{name}", link="xtables-nft-multi") for name in XTABLES),
        Member("tmp", mode=0o1777),
        Member("var/run", link="/run"),
        *_programs(sources / BPF),
    )
    members |= {member.name: member for member in own}
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    settings = images.Settings(entrypoint=["cilium-agent"], user="0:0", environment={"PATH": path})
    fetcher.progress.step("cilium", "write the image")
    return images.make(cache, "cilium", members.values(), settings)


def _programs(directory: Path) -> Iterator[Member]:
    """Give the sources of what runs in the kernel, where the agent looks for them."""
    for path in sorted(directory.rglob("*")):
        place = path.relative_to(directory)
        if path.is_file() and place.parts[0] not in TESTS:
            yield Member(f"var/lib/cilium/bpf/{place}", path.read_bytes(), mode=0o644)
