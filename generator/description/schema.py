"""Declares the description: its keys, and what each is for."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator

from generator.catalogue import (
    LARGEST_VOLUME_GIB,
    MOST_FIREWALL_ADDRESSES,
    MOST_VOLUMES,
    REGIONS,
    SPACES_REGIONS,
    VPC_NETWORKS,
    VPC_PREFIXES,
)
from generator.description import values
from generator.release.lock_file import Filesystem, Role


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NetworkSpec(_Section):
    """The four networks of a cluster, and how pods of different nodes reach each other."""

    vpc: Annotated[values.Network, values.inside(*VPC_NETWORKS), values.prefix(*VPC_PREFIXES, "a VPC")]
    """The range of the VPC: the provider gives each droplet an address of it; nothing is built on that."""
    nodes: Annotated[values.PrivateNetwork, values.prefix(16, 28, "the network of the nodes")]
    """The planned addresses of the nodes: that with number 1 has the first, for life."""
    pods: Annotated[values.PrivateNetwork, values.prefix(8, 24, "the network of the pods")]
    """The addresses of the pods: each node has a /24 of it, by its number, for life."""
    services: Annotated[values.PrivateNetwork, values.prefix(12, 26, "the network of the services")]
    """The addresses of the services: the first is the API, the tenth is DNS."""
    datapath: values.Datapath = "mesh"
    """How pods reach those of other nodes: through WireGuard, or by plain routes in the VPC."""


class VolumeSpec(_Section):
    """A disk that outlives droplets: each node of the pool has one of its own."""

    name: values.VolumeName
    """What it is called; it is mounted at `/var/lib/hardway/volumes/<name>`. The order book's database is on `data`."""
    size: Annotated[values.Count, values.rule(f"1 to {LARGEST_VOLUME_GIB} GiB", values.volume_size)]
    """How large it is, in GiB; it can grow, its file system with it while the node runs, and never shrinks."""
    filesystem: Filesystem = "ext4"
    """What it is formatted with, once: a volume that is there keeps what it has, and is refused as any other."""


class PoolSpec(_Section):
    """Nodes that differ only in their number."""

    name: values.PoolName
    """What its nodes are called, before their number: `node` gives `node01`."""
    role: Role
    """Whether its nodes run etcd and the API server, or pods alone."""
    schedulable: values.Flag | None = None
    """Whether its nodes take pods; a worker always does, a control-plane node does not unless told."""
    count: Annotated[values.Count, values.rule(f"0 to {values.NODES_PER_POOL}", values.count)]
    """How many nodes it has."""
    size: Annotated[str, values.rule("a size of the provider, by its form", values.size)]
    """What its droplets are: processors and memory, by the provider's name."""
    max_unavailable: Annotated[values.Count, values.rule(f"1 to {values.NODES_PER_POOL}", values.max_unavailable)] = 1
    """How many of its nodes a rollout may replace at once; of control-plane nodes always one."""
    public: Literal["reserved"] | None = None
    """Whether each node keeps its address on the internet when its droplet is replaced; else it has its droplet's."""
    volumes: Annotated[tuple[VolumeSpec, ...], values.rule(f"at most {MOST_VOLUMES}", values.volumes)] = ()
    """What of its nodes outlives their droplets; whatever else a node writes goes with its droplet."""


class AccessSpec(_Section):
    """Who may reach the API."""

    api: Annotated[
        tuple[values.Access, ...], values.rule(f"at most {MOST_FIREWALL_ADDRESSES:,}", values.firewall_addresses)
    ]
    """Networks whose machines may reach the API; nobody else may."""


class IngressSpec(_Section):
    """Whose Ingresses are served."""

    namespaces: tuple[values.Served, ...] = ()
    """Namespaces whose Ingresses are served, besides the addons' own; the ingress reads Secrets there, nowhere else."""


class OrderBookSpec(_Section):
    """What the order book is called, with which certificate it is served, and which image it is."""

    host: Annotated[str, values.rule("a DNS name of two labels or more", values.host)] = "limit-order-book.local"
    """The name under which it is served, on port 443; port 80 leads there."""
    certificate: values.PrivateFile | None = None
    """A certificate of yours for that name, its chain behind it: a file beside the cluster's keys; else our own."""
    key: values.PrivateFile | None = None
    """The certificate's private key, without a passphrase: a file beside the cluster's keys."""
    wipe: values.Flag = False
    """Whether the Ingress leads to `/api/wipe`, with which anybody may empty the book."""

    image: values.Image | None = None
    """The image that is run instead of the lock's; a launch in the cloud wants its digest too."""
    pull_secret: values.PrivateFile | None = None
    """Who may pull it, if not everybody: a file beside the cluster's keys, in the form of docker's `config.json`."""


class SpacesSpec(_Section):
    """Where the nodes find their secrets and the roster."""

    bucket: values.Bucket
    """The bucket, by a name that nobody else has; it is made when it is missing, and never deleted."""
    region: Annotated[str, values.one_of(SPACES_REGIONS, "not a region with Spaces")]
    """Where the bucket is."""
    state: values.Bucket | None = None
    """The bucket for sealed snapshots and dumps, `<bucket>-state` unless given; made when missing, never deleted."""
    state_key: values.PrivateFile | None = None
    """A Spaces key of yours for that bucket alone, if the token makes none: a file with id and secret in one line."""


class SnapshotsSpec(_Section):
    """How many snapshots of etcd and dumps of the database `gen snapshot prune` keeps, by their age."""

    hourly: Annotated[values.Count, values.rule("0 to 168", values.kept(168))] = 24
    """Of how many hours the last snapshot of each is kept."""
    daily: Annotated[values.Count, values.rule("1 to 366", values.kept(366, least=1))] = 7
    """Of how many days the last snapshot, and the last dump, of each is kept."""
    weekly: Annotated[values.Count, values.rule("0 to 520", values.kept(520))] = 4
    """Of how many weeks the last snapshot, and the last dump, of each is kept."""


class AddonSpec(_Section):
    """Something that the cluster runs: an addon of this program by its name alone, or manifests of your own."""

    name: values.AddonName
    """What it is called; `coredns` is short for `{name: coredns}`."""
    manifests: values.TreePath | None = None
    """A directory with manifests of your own, in files that end in `.yaml`, `.yml` or `.json`."""
    kustomization: values.TreePath | None = None
    """A directory with a `kustomization.yaml`, instead of `manifests`."""
    after: tuple[values.AddonName, ...] = ()
    """Which addons have to be up before it; while one of them is not, it waits, and nothing else does."""

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @property
    def source(self) -> str | None:
        """Give the directory that it comes from; None for an addon of this program."""
        return self.manifests or self.kustomization


class DebugSpec(_Section):
    """Who may log into nodes, and how long."""

    ssh_keys: Annotated[
        tuple[Annotated[str, values.rule("a name that is printable ASCII", values.ssh_key)], ...],
        values.rule(f"1 to {values.SSH_KEYS}", values.ssh_keys),
    ]
    """Names of SSH keys of the account; whoever holds one can log in as root. Nobody can without `debug`."""
    until: Annotated[date, BeforeValidator(values.Rule("a day from today on, at most 30 ahead", values.day))]
    """The last day on which somebody can, in UTC, in quotes; each node closes its sshd by itself then."""


class ClusterSpec(_Section):
    """What a person wrote, checked; nothing derived."""

    name: values.ClusterName
    """What the cluster is called; whatever it has in the account bears it."""
    region: Annotated[str, values.one_of(tuple(REGIONS), "not a region")]
    """Where the droplets are."""
    release: values.ReleaseName
    """The lock that names every binary, package and image by digest."""
    image: values.DropletImage
    """The droplets' own image, the one thing that has no digest; a baked one has files and images of the lock in it."""
    network: NetworkSpec
    """The networks of the cluster; no two may overlap."""
    pools: tuple[PoolSpec, ...]
    """The nodes, pool by pool."""
    access: AccessSpec
    """Who may reach the API."""
    spaces: SpacesSpec
    """Where the nodes find their sealed secrets and the roster."""
    snapshots: SnapshotsSpec = SnapshotsSpec()
    """How many snapshots are kept."""
    ingress: IngressSpec = IngressSpec()
    """Whose Ingresses the addon `ingress` serves."""
    order_book: OrderBookSpec = OrderBookSpec()
    """What the addon `order-book` runs and serves."""
    addons: tuple[AddonSpec, ...]
    """What the cluster runs, in the order in which it is applied, but for what `after` puts elsewhere."""
    debug: DebugSpec | None = None
    """Who may log into nodes, where somebody has to look."""
