"""Dependencies are followed as far as the base goes, and what is not signed by Debian is refused."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest

from generator.errors import Problem
from generator.lab.content import debian
from generator.lab.content.debian import Index, Stanza
from generator.release import lock_file
from generator.release.lock_file import Package

PACKAGES = """\
Package: haproxy
Version: 3.0.11-1+deb13u5
Priority: optional
Pre-Depends: init-helpers
Depends: libc6 (>= 2.38), liblua5.4-0 (>= 5.4.6), awk, editor | vim:any
Filename: pool/main/h/haproxy/haproxy_3.0.11-1+deb13u5_amd64.deb
SHA256: 7c3e5e2c47d0906a192d3a0b76924ba0d87f5d19e620789f4aa5c3375bd19ec0
Description: balancer

Package: liblua5.4-0
Version: 5.4.7-1
Depends: libc6
Filename: pool/main/l/lua5.4/liblua5.4-0_5.4.7-1_amd64.deb
SHA256: 3456e23667f21a5bea4f2182ec878621bf4c47fbc9819fdaad8835d6d1ee6247

Package: mawk
Version: 1.3
Provides: awk
Depends: libc6
Filename: pool/main/m/mawk/mawk_1.3_amd64.deb
SHA256: 60707a62fe6c1228c3389b12a13ca4efd76defc5532473e547a29e99cf7d2a6e

Package: vim
Version: 9
Depends: haproxy
Filename: pool/main/v/vim/vim_9_amd64.deb
SHA256: 60707a62fe6c1228c3389b12a13ca4efd76defc5532473e547a29e99cf7d2a6e
"""


def index() -> Index:
    return Index({stanza.name: stanza for stanza in debian.parse(PACKAGES, "debian", "20261122T000000Z")})


def names(stanzas: Iterable[Stanza | Package]) -> list[str]:
    return [stanza.name for stanza in stanzas]


def test_the_closure_ends_at_the_base() -> None:
    assert names(index().closure(["haproxy"], base=["libc6", "init-helpers"])) == [
        "haproxy",
        "liblua5.4-0",
        "mawk",
        "vim",
    ]


def test_a_virtual_package_of_the_base_counts() -> None:
    assert "mawk" not in names(index().closure(["haproxy"], base=["libc6", "init-helpers", "awk"]))
    assert "vim" not in names(index().closure(["haproxy"], base=["libc6", "init-helpers", "editor"]))


def test_what_is_nowhere_is_said() -> None:
    with pytest.raises(Problem, match="no package `init-helpers`"):
        index().closure(["haproxy"], base=["libc6"])


def test_addresses_are_the_mirror_then_the_archive() -> None:
    stanza = index().stanzas["haproxy"]
    assert stanza.urls == (
        "https://deb.debian.org/debian/pool/main/h/haproxy/haproxy_3.0.11-1+deb13u5_amd64.deb",
        "https://snapshot.debian.org/archive/debian/20261122T000000Z"
        "/pool/main/h/haproxy/haproxy_3.0.11-1+deb13u5_amd64.deb",
    )


@pytest.mark.skipif(shutil.which("gpgv") is None or not debian.KEYRING.is_file(), reason="gpgv and Debian's keys")
def test_an_unsigned_index_is_refused() -> None:
    with pytest.raises(Problem, match="the signature is not good"):
        debian.verified(b"Origin: Debian\nSuite: stable\n", "InRelease")


def test_the_base_holds_the_c_library_but_not_what_documents_bring() -> None:
    base = debian.base()
    assert {"libc6", "systemd", "cloud-init", "python3", "dpkg"} <= base
    assert not base & {"nftables", "haproxy", "wireguard-tools", "liblua5.4-0"}


def test_what_a_lock_lists_is_all_that_nodes_need_and_for_whom() -> None:
    form = "Package: {0}\nVersion: 1\nFilename: pool/{0}.deb\nSHA256: 3456e23667\n"
    every = (*debian.WANTED, debian.SEALING, *debian.XFS, "libicu76")
    text = "\n".join(form.format(name) for name in every)
    found = debian.packages(Index({one.name: one for one in debian.parse(text, "debian", "20261122T000000Z")}))
    assert names(found) == sorted({*every} - {"libicu76"})
    assert {one.name for one in found if one.filesystem == "xfs"} == {"xfsprogs", "libinih1", "liburcu8t64"}
    assert {one.name for one in found if one.roles == ("control-plane",)} == {"age"}


def test_the_lock_lists_just_these() -> None:
    """A library that one of them needs is in no list of ours but that."""
    lock = lock_file.load("k8s-1.36", Path("/nonexistent"))
    listed = {one.name: one for one in lock.packages}
    assert {*debian.WANTED, debian.SEALING, *debian.XFS} <= listed.keys()
    assert {name for name, one in listed.items() if one.filesystem == "xfs"} == {*debian.XFS}
    assert listed[debian.SEALING].roles == ("control-plane",)
