"""Decides every name, number, address and route of a cluster; pure."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network
from typing import Literal, cast
from uuid import UUID, uuid5

from generator.description.rules import POD_PREFIX, order, room, state_bucket
from generator.description.schema import ClusterSpec, OrderBookSpec, PoolSpec, VolumeSpec
from generator.description.values import Datapath
from generator.errors import Problem, raise_all
from generator.manifests.own import OwnAddon
from generator.plan import certificates, images, names, numbering, ports, serving
from generator.plan.certificates import Certificate
from generator.plan.debugging import Debugging
from generator.plan.inventory import OPERATOR_KEY, Inventory, wireguard_key
from generator.plan.node import Node
from generator.plan.serving import Given
from generator.plan.volumes import Volume
from generator.release.lock_file import Artifact, Package, Release

VPC_MTU, WIREGUARD_BYTES = 1500, 80
Network = Literal["cilium", "bridge"]
"""What connects the pods: the first of the description's addons."""
OF_BRIDGE = ("kube-proxy", "cni-plugins")
"""The downloads that only a node with `bridge` has."""


@dataclass(frozen=True)
class Kept:
    """Of how many hours, days and weeks the last snapshot of each is kept."""

    hourly: int = 24
    daily: int = 7
    weekly: int = 4


@dataclass(frozen=True)
class Plan:
    """Every decision about a cluster, frozen.

    `release` is the lock with those images alone that the cluster runs, and with the description's order book in
    it. `pull_secret` and `state_key` are names of files in the private store. `operator_public_key` is the base64 of 32
    raw bytes, empty until the keys exist; `nodes` are in the order of the description's pools. `authorities` has the
    certificates of authorities that others are told to believe, in PEM by their path, as far as they exist;
    `given` is the certificate of the user's with which the order book is served, None where it is one of ours.
    """

    name: str
    cluster_id: str
    region: str
    image: str
    release: Release
    vpc: IPv4Network
    node_cidr: IPv4Network
    pod_cidr: IPv4Network
    service_cidr: IPv4Network
    datapath: Datapath
    nodes: tuple[Node, ...]
    api_access: tuple[IPv4Network, ...]
    spaces_bucket: str
    spaces_region: str
    state_bucket: str
    addons: tuple[str, ...]
    user_namespaces: tuple[str, ...]
    operator_public_key: str
    pull_secret: str | None = None
    state_key: str | None = None
    kept: Kept = Kept()
    debug: Debugging | None = None
    given: Given | None = None
    wipe: bool = False
    authorities: Mapping[str, str] = field(default_factory=dict)
    cluster_domain: str = "cluster.local"
    order_book_host: str = OrderBookSpec.model_fields["host"].default
    own: tuple[OwnAddon, ...] = ()

    api_port: int = names.API_PORT
    balancer_port: int = names.BALANCER_PORT
    wireguard_port: int = names.WIREGUARD_PORT
    metrics_port: int = names.METRICS_PORT

    @property
    def mtu(self) -> int:
        """Give the largest packet between nodes and pods: the VPC's, or what WireGuard leaves of it."""
        return VPC_MTU if self.datapath == "vpc" else VPC_MTU - WIREGUARD_BYTES

    @property
    def control_planes(self) -> tuple[Node, ...]:
        """Give the nodes with etcd and an API server."""
        return tuple(node for node in self.nodes if node.is_control_plane)

    @property
    def workers(self) -> tuple[Node, ...]:
        """Give the other nodes."""
        return tuple(node for node in self.nodes if not node.is_control_plane)

    @property
    def network(self) -> Network:
        """Name the addon that connects the pods."""
        return cast("Network", self.addons[0])

    @property
    def pod_interface(self) -> str:
        """Give the node's interface that its pods' packets come from, as nftables matches it."""
        return {"bridge": "cni0", "cilium": "lxc*"}[self.network]

    @property
    def inside(self) -> tuple[str, ...]:
        """Give the interfaces by which planned addresses come and go; every other is a NIC."""
        own = {"bridge": ("cni0", "lo"), "cilium": ("cilium_host", "cilium_net", "lo", "lxc*")}[self.network]
        return (*own, "wg0") if self.datapath == "mesh" else own

    @property
    def underlay(self) -> str:
        """Give the interface by which packets go to other nodes; the provider's image calls its NICs so."""
        return "wg0" if self.datapath == "mesh" else "eth1"

    @property
    def devices(self) -> tuple[str, ...]:
        """Give the interfaces by which anything goes from one machine to another."""
        return ("eth0", "eth1", "wg0") if self.datapath == "mesh" else ("eth0", "eth1")

    @property
    def replicas(self) -> int:
        """Give how many pods an addon has that has to outlive a node: two, if they can be apart."""
        return min(2, sum(node.schedulable for node in self.nodes))

    @property
    def published(self) -> tuple[int, ...]:
        """Give the ports of pods that stand behind ports of their node's, which anyone may reach."""
        return tuple(port.pod for port in ports.PORTS if port.pod)

    @property
    def own_namespaces(self) -> frozenset[str]:
        """Name the namespaces that the user's own addons make."""
        return frozenset(name for addon in self.own for name in addon.namespaces)

    @property
    def served_namespaces(self) -> tuple[str, ...]:
        """Give the namespaces whose Ingresses are served, and whose Secrets the ingress therefore reads."""
        own = (names.ORDER_BOOK_WEB,) if "order-book" in self.addons else ()
        return (*own, *self.user_namespaces) if "ingress" in self.addons else ()

    @property
    def has_own_ingress_authority(self) -> bool:
        """Tell whether the order book's certificate is one of ours."""
        return "order-book" in self.addons and self.given is None

    def authority(self, path: str) -> str:
        """Give an authority's certificate as one line of base64 around its PEM, empty until it exists."""
        return base64.b64encode(self.authorities.get(path, "").encode()).decode()

    def node(self, name: str) -> Node:
        """Find a node by its name."""
        return next(node for node in self.nodes if node.name == name)

    @property
    def kubernetes_service_ip(self) -> IPv4Address:
        """Give the address at which pods find the API: the first of the services."""
        return self.service_cidr[1]

    @property
    def dns_ip(self) -> IPv4Address:
        """Give the address at which pods find DNS: the tenth of the services."""
        return self.service_cidr[10]

    @property
    def api_server_name(self) -> str:
        """Give the name that the API server's certificates bear towards people."""
        return f"api.{self.name}.internal"

    def artifacts(self, node: Node) -> tuple[Artifact, ...]:
        """Give the downloads of a node's role, in the lock's order; Cilium brings what the bridge needs of them."""
        superseded = () if self.network == "bridge" else OF_BRIDGE
        return tuple(one for one in self.release.artifacts if node.role in one.roles and one.name not in superseded)

    def packages(self, node: Node) -> tuple[Package, ...]:
        """Give the packages of a node's role, its volumes' file systems and the datapath, in the lock's order."""
        needed = {None, *(one.filesystem for one in node.volumes)}
        ours = (one for one in self.release.packages if one.datapath in (None, self.datapath))
        return tuple(one for one in ours if node.role in one.roles and one.filesystem in needed)

    def images(self, node: Node) -> tuple[str, ...]:
        """Give the images that a node's pods may be made of, by digest, in the order in which a boot needs them."""
        return images.of_node(self.release, self.addons, self.own, schedulable=node.schedulable)

    def admitted(self, node: Node) -> tuple[str, ...]:
        """Give what a node's own packet filter lets in, as matches of nftables."""
        debuggers = self.api_access if self.debug else ()
        networks = {"vpc": self.vpc, "nodes": self.node_cidr, "pods": self.pod_cidr}
        return ports.admitted(node.role, self.datapath, **networks, debuggers=debuggers)

    @property
    def cluster_tag(self) -> str:
        """Give the tag of everything the cluster has in the account."""
        return names.cluster_tag(self.name)

    def node_tag(self, node: Node) -> str:
        """Give the tag of a node's droplet."""
        return names.node_tag(self.name, node.name)

    def document_tag(self, sha256: str) -> str:
        """Give the tag that says with which document a droplet was born."""
        return names.document_tag(self.name, sha256)

    @property
    def public_prefix(self) -> str:
        """Give the only prefix of the bucket that anybody may read."""
        return names.public_prefix(self.name, self.cluster_id)

    @cached_property
    def certificates(self) -> tuple[Certificate, ...]:
        """Give every certificate, each after its signer."""
        return certificates.planned(self)


def plan(spec: ClusterSpec, release: Release, inventory: Inventory | None, own: tuple[OwnAddon, ...] = ()) -> Plan:
    """Decide everything.

    Args:
        spec: what the user wrote.
        release: the lock it names.
        inventory: what was committed before; without it no key is known and numbers start at 1.
        own: the addons of the user's own, as they were loaded.

    Raises:
        Problems: a number is beyond the networks' room, because removed nodes keep theirs.
    """
    known = inventory or Inventory(cluster_id="", name=spec.name)
    pools = {name: pool for pool in spec.pools for name in _names(pool)}
    numbers = numbering.assign(tuple(pools), known.numbers)
    raise_all([*_beyond(spec, {name: numbers[name] for name in pools}), *_unmade(spec, release)])
    return Plan(
        name=spec.name,
        cluster_id=known.cluster_id,
        region=spec.region,
        image=spec.image,
        release=images.used(spec, release),
        vpc=spec.network.vpc,
        node_cidr=spec.network.nodes,
        pod_cidr=spec.network.pods,
        service_cidr=spec.network.services,
        datapath=spec.network.datapath,
        nodes=tuple(_node(spec, pool, name, numbers[name], known) for name, pool in pools.items()),
        api_access=spec.access.api,
        spaces_bucket=spec.spaces.bucket,
        spaces_region=spec.spaces.region,
        state_bucket=spec.spaces.state or state_bucket(spec.spaces.bucket),
        addons=tuple(addon.name for addon in order(spec.addons)[0]),
        own=own,
        user_namespaces=spec.ingress.namespaces,
        operator_public_key=known.public(OPERATOR_KEY),
        pull_secret=spec.order_book.pull_secret,
        given=serving.given(spec.order_book, known),
        wipe=spec.order_book.wipe,
        authorities=serving.authorities(known),
        order_book_host=spec.order_book.host,
        state_key=spec.spaces.state_key,
        kept=Kept(spec.snapshots.hourly, spec.snapshots.daily, spec.snapshots.weekly),
        debug=Debugging(spec.debug.ssh_keys, spec.debug.until) if spec.debug else None,
    )


def _names(pool: PoolSpec) -> list[str]:
    return [f"{pool.name}{index:02}" for index in range(1, pool.count + 1)]


def _beyond(spec: ClusterSpec, numbers: Mapping[str, int]) -> list[Problem]:
    highest = min(room("nodes", spec.network.nodes), room("pods", spec.network.pods))
    hint = "removed nodes keep their numbers; a name that was used before keeps its own"
    return [
        Problem(f"has number {number}, the networks have room for {highest}", where=name, hint=hint)
        for name, number in numbers.items()
        if number > highest
    ]


def _unmade(spec: ClusterSpec, release: Release) -> Iterator[Problem]:
    """Find volumes with a file system that the lock's packages can't make: one that an older lock doesn't know."""
    brought = {"ext4", *(package.filesystem for package in release.packages)}
    for pool in spec.pools:
        for volume in pool.volumes:
            if volume.filesystem not in brought:
                message = f"the volume {volume.name} of the pool {pool.name} is {volume.filesystem}"
                hint = f"list them as `k8s-1.36` does, with `filesystem: {volume.filesystem}`"
                yield Problem(f"{message}, and the lock has no packages for that", where=release.name, hint=hint)


def _node(spec: ClusterSpec, pool: PoolSpec, name: str, number: int, known: Inventory) -> Node:
    first = int(spec.network.pods.network_address) + (number - 1) * 2 ** (32 - POD_PREFIX)
    return Node(
        name=name,
        number=number,
        pool=pool.name,
        role=pool.role,
        schedulable=pool.role == "worker" or bool(pool.schedulable),
        size=pool.size,
        address=spec.network.nodes[number],
        pod_cidr=IPv4Network((first, POD_PREFIX)),
        wireguard_public_key=known.public(wireguard_key(name)),
        bundle_sha256=known.bundles.get(name, ""),
        max_unavailable=pool.max_unavailable,
        reserved=pool.public == "reserved",
        volumes=tuple(_volume(spec, name, volume, known.cluster_id) for volume in pool.volumes),
    )


def _volume(spec: ClusterSpec, node: str, volume: VolumeSpec, cluster_id: str) -> Volume:
    uuid = str(uuid5(UUID(cluster_id), f"{node}/{volume.name}")) if cluster_id else ""
    return Volume(volume.name, volume.size, names.volume_name(spec.name, node, volume.name), uuid, volume.filesystem)
