"""Names, addresses and paths of the one lab of a host, and small JSON records that survive its processes."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path
from typing import Any

from generator.errors import Problem
from generator.files import make_private_directory, write_atomic

NET_NAMESPACE = "hardway-net"
OPERATOR_NAMESPACE = "hardway-operator"
DROPLET_NAMESPACE_PREFIX = "hardway-d"
CGROUP = "hardway-lab"

PUBLIC_BRIDGE = "br-public"
PUBLIC_NETWORK = IPv4Network("203.0.113.0/24")
PUBLIC_GATEWAY = IPv4Interface("203.0.113.1/24")
SERVICES_ADDRESS = IPv4Address("203.0.113.10")
DNS_ADDRESS = IPv4Address("203.0.113.53")
METADATA_ADDRESS = IPv4Address("169.254.169.254")
FIRST_DROPLET_ADDRESS = IPv4Address("203.0.113.101")
LAST_DROPLET_ADDRESS = IPv4Address("203.0.113.250")
OPERATOR_GATEWAY = IPv4Interface("198.51.100.1/24")
OPERATOR_ADDRESS = IPv4Address("198.51.100.7")
# a second address of the operator's namespace: somebody on the internet whom no rule names
ANYBODY_ADDRESS = IPv4Address("198.51.100.99")

_MARK = "hardway-lab"

NAMESPACES_DIRECTORY = Path("/run/netns")
CGROUPS_DIRECTORY = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class State:
    """The directory that holds everything a lab makes, and the cache that outlives it."""

    directory: Path
    cache: Path

    @classmethod
    def default(cls) -> State:
        """Find the lab of this host: `HARDWAY_LAB` and `HARDWAY_CACHE` override the usual places."""
        directory = os.environ.get("HARDWAY_LAB") or "/var/lib/hardway-lab"
        cache = os.environ.get("HARDWAY_CACHE") or "~/.cache/hardway"
        return cls(directory=Path(directory).expanduser().absolute(), cache=Path(cache).expanduser().absolute())

    @property
    def droplets(self) -> Path:
        """The parent of all droplets' directories."""
        return self.directory / "droplets"

    def droplet(self, number: int) -> Path:
        """Give the directory of one droplet; it is destroyed with the droplet."""
        return self.droplets / str(number)

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
        return tuple(sorted(path.name for path in NAMESPACES_DIRECTORY.iterdir() if is_lab_namespace(path.name)))

    @property
    def is_claimed(self) -> bool:
        """Say whether the directory was made for a lab, so that a lab may remove it whole."""
        return (self.directory / _MARK).exists()

    def claim(self) -> None:
        """Make the directory, for root alone, unless it is there; whoever writes into it calls this first.

        Raises:
            Problem: it holds other things, which a lab would remove when it goes, or its path cannot be used.
        """
        for path in (self.directory, self.cache):
            if set(str(path)) & set(",:\\"):  # they part the options of an overlay mount
                raise Problem(f"`{path}` has a comma, colon or backslash in it", hint="choose a plainer path")
        make_private_directory(self.directory)
        if self.is_claimed:
            return
        if any(self.directory.iterdir()):
            raise Problem(f"`{self.directory}` is not empty and no lab's", hint="let `HARDWAY_LAB` name a new one")
        write_atomic(self.directory / _MARK, b"everything here belongs to one lab and goes with it\n")

    @contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Hold a lock that other processes and threads wait for; it falls with the process."""
        self.claim()
        with (self.directory / f"{name}.lock").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def droplet_namespace(number: int) -> str:
    """Name the network namespace of a droplet."""
    return f"{DROPLET_NAMESPACE_PREFIX}{number}"


def is_lab_namespace(name: str) -> bool:
    """Say whether a network namespace's name is one that a lab makes."""
    number = name.removeprefix(DROPLET_NAMESPACE_PREFIX)
    return name in (NET_NAMESPACE, OPERATOR_NAMESPACE) or (number != name and number.isdecimal())


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
