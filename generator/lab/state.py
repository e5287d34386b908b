"""Names, addresses and paths of each lab of a host, and small JSON records that survive its processes."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path
from typing import Any

from generator.catalogue import REGIONS
from generator.errors import Problem
from generator.files import make_private_directory, write_atomic

CGROUP = "hardway-lab"
"""The one group that labs make in a hierarchy of the host; each has a group in it."""
LABS = "/var/lib/hardway-lab"
LONGEST_NAME = 24
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_NAMESPACE = re.compile(r"hardway-([a-z0-9-]+)-(net|operator|d[0-9]+)")

PUBLIC_BRIDGE = "br-public"
PUBLIC_NETWORK = IPv4Network("203.0.113.0/24")
PUBLIC_GATEWAY = IPv4Interface("203.0.113.1/24")
SERVICES_ADDRESS = IPv4Address("203.0.113.10")
DNS_ADDRESS = IPv4Address("203.0.113.53")
METADATA_ADDRESS = IPv4Address("169.254.169.254")
# Reserved ones: whoever asks there reaches the droplet that has it now, at its anchor.
FIRST_RESERVED_ADDRESS = IPv4Address("203.0.113.20")
LAST_RESERVED_ADDRESS = IPv4Address("203.0.113.49")
FIRST_DROPLET_ADDRESS = IPv4Address("203.0.113.101")
LAST_DROPLET_ADDRESS = IPv4Address("203.0.113.250")
# Public ones, as a description has to name such; of a range that nobody announces, and in the lab's networks alone.
OPERATOR_GATEWAY = IPv4Interface("28.51.100.1/24")
OPERATOR_ADDRESS = IPv4Address("28.51.100.7")
# a second address of the operator's namespace: somebody on the internet whom no rule names
ANYBODY_ADDRESS = IPv4Address("28.51.100.99")

_MARK = "hardway-lab.json"

ANCHORS = tuple(sorted({region.anchor for region in REGIONS.values() if region.anchor}))
"""The networks of which every droplet of a region has an address on its public interface."""

NAMESPACES_DIRECTORY = Path("/run/netns")
CGROUPS_DIRECTORY = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class State:
    """What a lab is called, where all labs of this host lie, and the cache that outlives them.

    The addresses below are the same in every lab: each has its own network namespaces.
    """

    name: str
    labs: Path
    cache: Path

    @classmethod
    def named(cls, name: str | None = None) -> State:
        """Find a lab by its name; without one by `HARDWAY_LAB`, else it is the one of this directory.

        `HARDWAY_LABS` and `HARDWAY_CACHE` override where labs and cache lie.

        Raises:
            Problem: that can't be a name.
        """
        name = name or os.environ.get("HARDWAY_LAB") or name_of(Path.cwd())
        if len(name) > LONGEST_NAME or not _NAME.fullmatch(name):
            hint = f"lower-case letters, digits and single dashes, at most {LONGEST_NAME}"
            raise Problem(f"{name!r} can't be a lab's name", hint=hint)
        labs = os.environ.get("HARDWAY_LABS") or LABS
        cache = os.environ.get("HARDWAY_CACHE") or "~/.cache/hardway"
        return cls(name, Path(labs).expanduser().absolute(), Path(cache).expanduser().absolute())

    @classmethod
    def all(cls, beside: State) -> tuple[State, ...]:
        """Find every lab that has anything on this host: a directory, a network namespace or a group."""
        names = {path.name for path in beside.labs.iterdir() if path.is_dir()} if beside.labs.is_dir() else set()
        if NAMESPACES_DIRECTORY.is_dir():
            names |= {name for path in NAMESPACES_DIRECTORY.iterdir() if (name := lab_of(path.name))}
        for pattern in (f"{CGROUP}/*", f"*/{CGROUP}/*"):  # one hierarchy, or one for each version 1 controller
            names |= {path.name for path in CGROUPS_DIRECTORY.glob(pattern) if path.is_dir()}
        return tuple(replace(beside, name=name) for name in sorted(names))

    @property
    def directory(self) -> Path:
        """The directory that holds everything the lab makes."""
        return self.labs / self.name

    @property
    def net_namespace(self) -> str:
        """The network namespace with the lab's bridges and services."""
        return f"hardway-{self.name}-net"

    @property
    def operator_namespace(self) -> str:
        """The network namespace from which the operator reaches droplets."""
        return f"hardway-{self.name}-operator"

    def droplet_namespace(self, number: int) -> str:
        """Name the network namespace of a droplet, and its machine."""
        return f"{self.droplet_namespace_prefix}{number}"

    @property
    def droplet_namespace_prefix(self) -> str:
        """What a droplet's number follows in the name of its namespace."""
        return f"hardway-{self.name}-d"

    def owns(self, namespace: str) -> bool:
        """Say whether a network namespace's name is one that this lab makes."""
        return lab_of(namespace) == self.name

    @property
    def droplets(self) -> Path:
        """The parent of all droplets' directories."""
        return self.directory / "droplets"

    def droplet(self, number: int) -> Path:
        """Give the directory of one droplet; it is destroyed with the droplet."""
        return self.droplets / str(number)

    @property
    def volumes(self) -> Path:
        """The files behind volumes; they outlive droplets, and go with the lab."""
        return self.directory / "volumes"

    @property
    def snapshots(self) -> Path:
        """The copies of droplets' disks; they outlive droplets, and go with the lab."""
        return self.directory / "snapshots"

    @property
    def layer(self) -> Path:
        """The thin layer that the lab lays over the base root, shared by all droplets."""
        return self.directory / "layer"

    @property
    def ports(self) -> Path:
        """The records of the attached ports, one file for each droplet."""
        return self.directory / "ports"

    @property
    def namespaces(self) -> tuple[str, ...]:
        """The lab's network namespaces that exist now, sorted."""
        if not NAMESPACES_DIRECTORY.is_dir():
            return ()
        return tuple(sorted(path.name for path in NAMESPACES_DIRECTORY.iterdir() if self.owns(path.name)))

    @property
    def is_claimed(self) -> bool:
        """Say whether the directory was made for a lab, so that a lab may remove it whole."""
        return (self.directory / _MARK).exists()

    def claim(self) -> None:
        """Make the directory, for root alone, unless it is there; whoever writes into it calls this first.

        Raises:
            Problem: it holds other things, which a lab would remove when it goes, or its path cannot be used.
        """
        for path in (self.labs, self.cache):
            if set(str(path)) & set(",:\\"):  # they part the options of an overlay mount
                raise Problem(f"`{path}` has a comma, colon or backslash in it", hint="choose a plainer path")
        for path in (self.labs, self.directory):
            make_private_directory(path)
        if self.is_claimed:
            return
        if any(self.directory.iterdir()):
            raise Problem(f"`{self.directory}` is not empty and no lab's", hint="let `HARDWAY_LABS` name a new one")
        write_record(self.directory / _MARK, {"version": 1, "made_in": str(Path.cwd())})

    @property
    def made_in(self) -> str:
        """The directory in which the lab was made, for people."""
        record = read_record(self.directory / _MARK)
        return "" if record is None else str(record["made_in"])

    @contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Hold a lock that other processes and threads wait for; it falls with the process."""
        self.claim()
        with (self.directory / f"{name}.lock").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def name_of(directory: Path) -> str:
    """Name the lab of a directory: people recognise the first part, the second is its path's digest.

    >>> name_of(Path("/home/me/My demo"))
    'my-demo-142d83'
    """
    path = directory.resolve()
    words = re.sub(r"[^a-z0-9]+", "-", path.name.lower())[:16].strip("-")
    return f"{words or 'lab'}-{hashlib.sha256(str(path).encode()).hexdigest()[:6]}"


def anchor(region: str, public: IPv4Address) -> IPv4Interface:
    """Give the address that a droplet has on its public interface besides its public one.

    >>> anchor("fra1", FIRST_DROPLET_ADDRESS)
    IPv4Interface('10.19.0.101/16')
    """
    network = REGIONS[region].anchor or ANCHORS[0]
    return IPv4Interface(f"{network[int(public) - int(PUBLIC_NETWORK.network_address)]}/{network.prefixlen}")


def lab_of(namespace: str) -> str | None:
    """Tell which lab makes a network namespace of that name, if one does.

    >>> lab_of("hardway-demo-af3b1d-d3164063"), lab_of("cni-1234")
    ('demo-af3b1d', None)
    """
    found = _NAMESPACE.fullmatch(namespace)
    return found[1] if found else None


def namespace_path(name: str) -> Path:
    """Give the file that `ip netns exec` and `nsenter --net=` know the namespace by."""
    return NAMESPACES_DIRECTORY / name


def write_record(path: Path, record: dict[str, Any]) -> None:
    """Write a JSON record whole, for the owner only."""
    make_private_directory(path.parent)
    write_atomic(path, json.dumps(record, indent=1, sort_keys=True).encode() + b"\n", mode=0o600)


def read_record(path: Path) -> dict[str, Any] | None:
    """Read a JSON record, or `None` when there is none."""
    try:
        record = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    if not isinstance(record, dict):
        raise TypeError(f"{path}: a record is an object")
    return record
