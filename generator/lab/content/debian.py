"""Reads Debian's signed package index and finds every package that a few packages need on top of a base system."""

from __future__ import annotations

import functools
import hashlib
import lzma
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Literal

from generator.errors import Problem
from generator.lab.content.fetch import Fetcher
from generator.release.lock_file import Filesystem, Package, Role

MIRROR = "https://deb.debian.org"
SNAPSHOT = "https://snapshot.debian.org/archive"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
# archive and suite; of two versions of a package the newer one counts
SUITES = (("debian", "trixie"), ("debian-security", "trixie-security"))
BASE = Path(__file__).parent / "debian-base.txt"
BOTH: tuple[Role, ...] = ("control-plane", "worker")
# what the documents need and Debian's cloud image lacks: the packet filter's, the tunnel's and the balancer's tools
TUNNEL = "wireguard-tools"
WANTED = ("nftables", TUNNEL, "haproxy")
# what seals snapshots
SEALING = "age"
# what makes, checks and grows xfs, with the libraries that these three need: the package's others, which look after a
# mounted file system, want a hundred times as much, and are not used
XFS = ("xfsprogs", "libinih1", "liburcu8t64")


@dataclass(frozen=True)
class Stanza:
    """One package of the index; `depends` is a list of alternatives, `moment` the snapshot that holds it."""

    name: str
    version: str
    archive: str
    filename: str
    sha256: str
    depends: tuple[tuple[str, ...], ...]
    provides: tuple[str, ...]
    moment: str

    @property
    def urls(self) -> tuple[str, ...]:
        """The mirror, which drops a version when the next appears, then the archive that keeps all."""
        return f"{MIRROR}/{self.archive}/{self.filename}", f"{SNAPSHOT}/{self.archive}/{self.moment}/{self.filename}"


@dataclass(frozen=True)
class Index:
    """All packages of a distribution by name."""

    stanzas: Mapping[str, Stanza]

    @functools.cached_property
    def providers(self) -> Mapping[str, tuple[str, ...]]:
        """Virtual package to the packages that provide it, in the order of their names."""
        found: dict[str, tuple[str, ...]] = {}
        for name in sorted(self.stanzas):
            for virtual in self.stanzas[name].provides:
                found[virtual] = (*found.get(virtual, ()), name)
        return found

    def closure(self, wanted: Iterable[str], *, base: Iterable[str] = ()) -> tuple[Stanza, ...]:
        """Find the wanted packages and all they depend on, save what the base has; sorted by name.

        Of alternatives one that is already there counts, else the first that exists.

        Raises:
            Problem: something is in no suite.
        """
        chosen: dict[str, Stanza] = {}
        present = set(base)
        for name in present.copy():
            present.update(self.stanzas[name].provides if name in self.stanzas else ())
        waiting: list[tuple[str, ...]] = [(name,) for name in wanted]
        while waiting:
            alternatives = waiting.pop()
            if any(name in present for name in alternatives):
                continue
            found = next((stanza for name in alternatives for stanza in self._candidates(name)), None)
            if found is None:
                raise Problem(f"no package `{' | '.join(alternatives)}` in the index", where="debian")
            chosen[found.name] = found
            present.update((found.name, *found.provides))
            waiting.extend(found.depends)
        return tuple(chosen[name] for name in sorted(chosen))

    def _candidates(self, name: str) -> Iterable[Stanza]:
        if name in self.stanzas:
            yield self.stanzas[name]
        yield from (self.stanzas[provider] for provider in self.providers.get(name, ()))


def load(fetcher: Fetcher) -> Index:
    """Read the index of Debian 13 with its security fixes, its signatures verified.

    Raises:
        Problem: it cannot be read, or a signature or digest is wrong.
    """
    stanzas: dict[str, Stanza] = {}
    for archive, suite in SUITES:
        fetcher.progress.step("debian", f"read the index of {suite}")
        root = f"{MIRROR}/{archive}/dists/{suite}"
        signed = verified(fetcher.bytes(f"{root}/InRelease"), f"{root}/InRelease")
        digest = _digest(signed, "main/binary-amd64/Packages.xz", root)
        packed = fetcher.bytes(f"{root}/main/binary-amd64/by-hash/SHA256/{digest}")
        if hashlib.sha256(packed).hexdigest() != digest:
            raise Problem("the package index is not the one that was signed", where=root)
        for stanza in parse(lzma.decompress(packed).decode(), archive, _moment(signed)):
            known = stanzas.get(stanza.name)
            if known is None or _is_newer(stanza.version, known.version):
                stanzas[stanza.name] = stanza
    return Index(stanzas)


def verified(message: bytes, where: str) -> str:
    """Check the signature of an `InRelease` file with Debian's keys and give the text that was signed.

    Raises:
        Problem: the signature is not good, or the tools to check it are missing.
    """
    gpgv = shutil.which("gpgv")
    if gpgv is None or not KEYRING.is_file():
        raise Problem(
            "Debian's package index cannot be verified: `gpgv` or Debian's keys are missing",
            hint="apt-get install gpgv debian-archive-keyring",
        )
    with tempfile.TemporaryDirectory() as directory:
        signed = Path(directory) / "InRelease"
        text = Path(directory) / "Release"
        signed.write_bytes(message)
        command = [gpgv, "--quiet", "--keyring", str(KEYRING), "--output", str(text), str(signed)]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        if answer.returncode != 0:
            raise Problem(f"the signature is not good: {answer.stderr.strip()}", where=where)
        return text.read_text()


def parse(text: str, archive: str, moment: str) -> Iterable[Stanza]:
    """Read the stanzas of a `Packages` file."""
    for block in text.split("\n\n"):
        fields = dict(re.findall(r"^([A-Za-z0-9-]+): (.*)$", block, re.MULTILINE))
        if "Filename" not in fields:
            continue
        depends = ", ".join(filter(None, (fields.get("Pre-Depends"), fields.get("Depends"))))
        yield Stanza(
            name=fields["Package"],
            version=fields["Version"],
            archive=archive,
            filename=fields["Filename"],
            sha256=fields["SHA256"],
            depends=_relations(depends),
            provides=tuple(name for names in _relations(fields.get("Provides", "")) for name in names),
            moment=moment,
        )


def base() -> frozenset[str]:
    """Name the packages that every Debian 13 cloud image has; the file says why."""
    lines = (line.partition("#")[0].strip() for line in BASE.read_text().splitlines())
    return frozenset(filter(None, lines))


def packages(index: Index) -> tuple[Package, ...]:
    """Give the `packages` of a lock: what the documents need and the cloud image lacks, with all dependencies."""
    # an image made by debootstrap has nftables already, but another maker's may not: it is always ours
    needed = index.closure(WANTED, base=base() - set(WANTED))
    found = [_package(stanza, datapath="mesh" if stanza.name == TUNNEL else None) for stanza in needed]
    found.append(_package(index.stanzas[SEALING], roles=("control-plane",)))
    found += [_package(index.stanzas[name], filesystem="xfs") for name in XFS]
    return tuple(sorted(found, key=lambda package: package.name))


def _package(
    stanza: Stanza,
    *,
    roles: tuple[Role, ...] = BOTH,
    filesystem: Filesystem | None = None,
    datapath: Literal["mesh"] | None = None,
) -> Package:
    named = stanza.name, stanza.version, roles, stanza.urls, stanza.sha256
    return Package(*named, filesystem=filesystem, datapath=datapath)


def _relations(text: str) -> tuple[tuple[str, ...], ...]:
    """Read a dependency field, versions and architectures left out: one suite is consistent in itself.

    >>> _relations("a (>= 1), b:any | c [amd64]")
    (('a',), ('b', 'c'))
    """
    names = [
        tuple(re.split(r"[\s:(\[<]", alternative.strip())[0] for alternative in relation.split("|"))
        for relation in text.split(",")
    ]
    return tuple(alternatives for alternatives in names if alternatives != ("",))


def _digest(release: str, name: str, where: str) -> str:
    section = release.partition("\nSHA256:\n")[2]
    found = re.search(rf"^ ([0-9a-f]{{64}}) +\d+ {re.escape(name)}$", section, re.MULTILINE)
    if found is None:
        raise Problem(f"`{name}` is not listed", where=where)
    return found[1]


def _moment(release: str) -> str:
    """Give the first midnight after the index was made: a snapshot of that time has all it names."""
    date = re.search(r"^Date: (.+)$", release, re.MULTILINE)
    assert date is not None, "the format of a Release file has a date"
    made = parsedate_to_datetime(date[1]).astimezone(UTC)
    return datetime.strftime(made + timedelta(days=1), "%Y%m%dT000000Z")


def _is_newer(version: str, than: str) -> bool:
    return subprocess.run(["dpkg", "--compare-versions", version, "gt", than], check=False).returncode == 0
