"""Declares the description: its keys, and what each value may be by itself."""

from __future__ import annotations

import ipaddress
import re
from ipaddress import IPv4Network
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from generator.catalogue import DEBIAN_13, REGIONS, SPACES_REGIONS, VPC_NETWORKS, VPC_PREFIXES
from generator.release.lock_file import Role
from generator.validation import Misfit, suggestion

IMAGES = (DEBIAN_13.slug,)
NODES_PER_POOL = 250
RESERVED_NAMES = ("default", "kube-node-lease", "kube-public", "kube-system", "kubernetes", "localhost")
# What somebody's YAML takes for something else than a word.
NO_NAMES = ("false", "n", "no", "null", "off", "on", "true", "y", "yes")


def _label(value: str, *, at_most: int) -> str:
    if not re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", value):
        raise Misfit("not a DNS label", "use a-z, 0-9 and `-`, beginning with a letter and not ending with `-`")
    if value in NO_NAMES:
        raise Misfit("no name: YAML has a meaning of its own for it")
    if len(value) > at_most:
        raise Misfit(f"{len(value)} characters, at most {at_most} are possible")
    return value


def cluster_name(value: str) -> str:
    """Take a cluster's name, or refuse it."""
    if value in RESERVED_NAMES:
        raise Misfit("a reserved name")
    return _label(value, at_most=32)


def _pool_name(value: str) -> str:
    _label(value, at_most=24)
    if value[-1].isdigit():
        raise Misfit(
            "a pool's name may not end with a digit", "nodes are named by pool and number: `node` gives `node01`"
        )
    return value


def release_name(value: str) -> str:
    """Take a release's name, or refuse it."""
    if not re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", value) or ".." in value:
        raise Misfit("not the name of a release", "releases are files of `releases/`, named without `.yaml`")
    return value


def _one_of(known: tuple[str, ...], what: str) -> Any:
    def check(value: str) -> str:
        if value not in known:
            raise Misfit(what, suggestion(value, known) or f"known: {', '.join(known)}")
        return value

    return AfterValidator(check)


def _size(value: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[0-9]+)?-([0-9]+|[0-9]+vcpu-[0-9]+(gb|mb))(-[a-z0-9]+)*", value):
        raise Misfit("not the form of a size", "sizes are named like `s-2vcpu-4gb`")
    return value


def _bucket(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]", value):
        raise Misfit("not the name of a bucket", "use 3 to 63 of a-z, 0-9 and `-`, with a letter or digit at both ends")
    return value


def _network(value: Any) -> IPv4Network:
    """Read `10.42.0.0/16` and nothing that only looks like it."""
    if not isinstance(value, str):
        raise Misfit("not a network such as `10.42.0.0/16`")
    if ":" in value:
        raise Misfit("IPv6 is not supported")
    octet = r"(0|[1-9][0-9]{0,2})"
    found = re.fullmatch(rf"({octet}(?:\.{octet}){{3}})(?:/([0-9]{{1,2}}))?", value)
    if not found:
        raise Misfit("not a network such as `10.42.0.0/16`")
    if found[4] is None:
        raise Misfit("the prefix length is missing", "`/32` is one address")
    try:
        return IPv4Network(value)
    except ipaddress.NetmaskValueError as error:
        raise Misfit("the prefix length is not 0 to 32") from error
    except ipaddress.AddressValueError as error:
        raise Misfit("an address has four numbers from 0 to 255") from error
    except ValueError as error:
        network = IPv4Network(value, strict=False)
        raise Misfit("an address inside a network, not the network", f"did you mean `{network}`?") from error


_SHARED = IPv4Network("100.64.0.0/10")


def _private(network: IPv4Network) -> IPv4Network:
    if not any(network.subnet_of(private) for private in (*VPC_NETWORKS, _SHARED)):
        raise Misfit("not inside 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 or 100.64.0.0/10")
    return network


def _vpc(network: IPv4Network) -> IPv4Network:
    if not any(network.subnet_of(private) for private in VPC_NETWORKS):
        raise Misfit("not inside 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16")
    return _prefix(network, *VPC_PREFIXES, "a VPC")


def _nodes(network: IPv4Network) -> IPv4Network:
    return _prefix(network, 16, 28, "the network of the nodes")


def _pods(network: IPv4Network) -> IPv4Network:
    return _prefix(network, 8, 24, "the network of the pods")


def _services(network: IPv4Network) -> IPv4Network:
    return _prefix(network, 12, 26, "the network of the services")


def _prefix(network: IPv4Network, shortest: int, longest: int, what: str) -> IPv4Network:
    if not shortest <= network.prefixlen <= longest:
        raise Misfit(f"{what} is a /{shortest} to a /{longest}")
    return network


def _allowed(network: IPv4Network) -> IPv4Network:
    if network.prefixlen < 8:
        hint = "name the addresses you work from; the API is protected by certificates, but not meant for everyone"
        part = "the whole" if network.prefixlen == 0 else "a large part of the"
        raise Misfit(f"opens the API to {part} internet", hint)
    return network


Network = Annotated[IPv4Network, BeforeValidator(_network)]
PrivateNetwork = Annotated[Network, AfterValidator(_private)]
Count = Annotated[int, Field(strict=True)]
Flag = Annotated[bool, Field(strict=True)]


def _count(value: int) -> int:
    if not 0 <= value <= NODES_PER_POOL:
        raise Misfit(f"a pool has 0 to {NODES_PER_POOL} nodes")
    return value


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NetworkSpec(_Section):
    """The four networks of a cluster, and how pods of different nodes reach each other."""

    vpc: Annotated[Network, AfterValidator(_vpc)] = Field(
        description="range of the VPC; the provider gives each droplet an address of it, and nothing is built on that"
    )
    nodes: Annotated[PrivateNetwork, AfterValidator(_nodes)] = Field(
        description="planned addresses of the nodes: number 1 has the first, for life"
    )
    pods: Annotated[PrivateNetwork, AfterValidator(_pods)] = Field(
        description="addresses of pods, one /24 for each node"
    )
    services: Annotated[PrivateNetwork, AfterValidator(_services)] = Field(
        description="addresses of Services: the first is the API, the tenth is DNS"
    )
    datapath: Literal["mesh", "vpc"] = Field(
        "mesh", description="how pods of different nodes reach each other: WireGuard, or plain routes (not there yet)"
    )


class PoolSpec(_Section):
    """Nodes that differ only in their number."""

    name: Annotated[str, AfterValidator(_pool_name)] = Field(
        description="the nodes are named by it and by their number in the pool"
    )
    role: Role = Field(description="whether etcd and the API server run there; 1, 3 or 5 nodes in all have them")
    schedulable: Flag | None = Field(None, description="whether a control-plane node takes pods; workers always do")
    count: Annotated[Count, AfterValidator(_count)] = Field(description="how many nodes the pool has")
    size: Annotated[str, AfterValidator(_size)] = Field(description="what the provider calls the droplets' size")


class AccessSpec(_Section):
    """Who may reach the API."""

    api: tuple[Annotated[Network, AfterValidator(_allowed)], ...] = Field(
        description="who may reach the API, as networks; nobody else may"
    )


class SpacesSpec(_Section):
    """Where the nodes find their secrets and the roster."""

    bucket: Annotated[str, AfterValidator(_bucket)] = Field(
        description="the bucket's name, which nobody else may have; only what lies below the cluster's name is ours"
    )
    region: Annotated[str, _one_of(SPACES_REGIONS, "not a region with Spaces")] = Field(
        description="where the bucket is"
    )


class ClusterSpec(_Section):
    """What a person wrote, checked; nothing derived."""

    name: Annotated[str, AfterValidator(cluster_name)] = Field(description="the cluster's name, for life")
    region: Annotated[str, _one_of(tuple(REGIONS), "not a region")] = Field(description="where the droplets are")
    release: Annotated[str, AfterValidator(release_name)] = Field(
        description="the lock file that names every binary, package and image by digest"
    )
    image: Annotated[str, _one_of(IMAGES, "not an image this release is made for")] = Field(
        description="the droplets' own image, the one thing that has no digest"
    )
    network: NetworkSpec = Field(description="four networks that may not overlap")
    pools: tuple[PoolSpec, ...] = Field(description="the nodes; those of one pool differ only in their number")
    access: AccessSpec = Field(description="who may reach what")
    spaces: SpacesSpec = Field(description="where the nodes find their sealed secrets and the roster")
    addons: tuple[str, ...] = Field(description="what the cluster runs, in the order in which it is applied")
