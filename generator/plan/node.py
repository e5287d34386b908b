"""Says what a node is: what is decided about it, and what follows from that."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from generator.plan.volumes import VOLUMES, Volume
from generator.release.lock_file import Role

BOOK_VOLUME = "data"
"""The volume on which the order book's database lies, where a node has it."""


@dataclass(frozen=True)
class Node:
    """One node: what survives its droplet.

    `wireguard_public_key` and `bundle_sha256` are empty until the keys exist; `max_unavailable` is how many nodes of
    its pool a rollout may replace at once. One that is `reserved` keeps its public address.
    """

    name: str
    number: int
    pool: str
    role: Role
    schedulable: bool
    size: str
    address: IPv4Address
    pod_cidr: IPv4Network
    wireguard_public_key: str
    bundle_sha256: str
    max_unavailable: int = 1
    volumes: tuple[Volume, ...] = ()
    reserved: bool = False

    @property
    def is_control_plane(self) -> bool:
        """Tell whether etcd and the API server run here."""
        return self.role == "control-plane"

    @property
    def volume_names(self) -> frozenset[str]:
        """Give the names that its volumes have in the account."""
        return frozenset(one.full_name for one in self.volumes)

    @property
    def book(self) -> str:
        """Give the directory in which the order book's database lies, if it lies here: on a volume, if there is one."""
        return next((one.mount for one in self.volumes if one.name == BOOK_VOLUME), f"{VOLUMES}/order-book")

    @property
    def book_is_kept(self) -> bool:
        """Tell whether the database's directory outlives the node's droplet."""
        return any(one.name == BOOK_VOLUME for one in self.volumes)

    @property
    def gateway(self) -> IPv4Address:
        """Give the node's own address among its pods: the first of its pod CIDR."""
        return self.pod_cidr[1]
