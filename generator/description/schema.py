"""Declares the description: its keys, and what each value may be by itself."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from ipaddress import IPv4Network
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from generator.catalogue import DEBIAN_13, NOBODYS, REGIONS, SPACES_REGIONS, VPC_NETWORKS, VPC_PREFIXES
from generator.release import lock_file
from generator.release.lock_file import Role
from generator.validation import Misfit, suggestion

IMAGES = (DEBIAN_13.slug,)
NODES_PER_POOL = 250
CLUSTER_NAME_LENGTH, POOL_NAME_LENGTH = 32, 24
NAMESPACE_LENGTH = 63
SSH_KEYS, SSH_KEY_NAME_LENGTH = 5, 64
# The cluster's own, and the addons': the ingress has no business in them.
CLOSED_NAMESPACES = ("hardway", "ingress", "kube-node-lease", "kube-public", "kube-system")
OWN_NAMESPACES = ("order-book", "order-book-web")
RESERVED_NAMES = ("default", "kube-node-lease", "kube-public", "kube-system", "kubernetes", "localhost")
# What somebody's YAML takes for something else than a word.
NO_NAMES = ("false", "n", "no", "null", "off", "on", "true", "y", "yes")


@dataclass(frozen=True)
class Rule:
    """A rule for one value: says in words what passes, and refuses everything else."""

    words: str
    check: Callable[[Any], Any]

    def __call__(self, value: Any) -> Any:
        """Give the value, or refuse it."""
        return self.check(value)


def _rule(words: str, check: Callable[[Any], Any]) -> Any:
    return AfterValidator(Rule(words, check))


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
    return _label(value, at_most=CLUSTER_NAME_LENGTH)


def _pool_name(value: str) -> str:
    _label(value, at_most=POOL_NAME_LENGTH)
    if value[-1].isdigit():
        raise Misfit(
            "a pool's name may not end with a digit", "nodes are named by pool and number: `node` gives `node01`"
        )
    return value


def _served(value: str) -> str:
    _label(value, at_most=NAMESPACE_LENGTH)
    if value in CLOSED_NAMESPACES:
        raise Misfit("a namespace that the ingress may not read")
    if value in OWN_NAMESPACES:
        raise Misfit("a namespace of the order book, which is served as it has to be", "leave it out")
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

    return _rule(f"one of {_listed(known)}", check)


def _listed(words: Iterable[object]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def _image(value: str) -> str:
    lock_file.image("order-book", value)
    return value


def _private_file(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", value):
        raise Misfit("not the name of a file in the cluster's directory below `keys/`", "name it without a path")
    return value


def _size(value: str) -> str:
    if not re.fullmatch(r"(?a)([a-z][a-z\d]*(_\d+)?-(\d+|\d+vcpu-\d+[gm]b)|gpu-[a-z\d]+-\d+gb)(-[a-z\d]+)*", value):
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


PUBLIC_ADDRESS = (
    "name the address that you have on the internet: your router knows it, and `curl -4 https://ifconfig.me`"
)
_SHARED = IPv4Network("100.64.0.0/10")
_PREFIX_OF_ACCESS = 8


def _inside(*around: IPv4Network) -> Any:
    names = [str(network) for network in around]

    def check(network: IPv4Network) -> IPv4Network:
        if not any(network.subnet_of(one) for one in around):
            raise Misfit(f"not inside {', '.join(names[:-1])} or {names[-1]}")
        return network

    return _rule(f"inside {_listed(names)}", check)


def _prefix(shortest: int, longest: int, what: str) -> Any:
    def check(network: IPv4Network) -> IPv4Network:
        if not shortest <= network.prefixlen <= longest:
            raise Misfit(f"{what} is a /{shortest} to a /{longest}")
        return network

    return _rule(f"a /{shortest} to a /{longest}", check)


def access(value: Any) -> IPv4Network:
    """Take a network that may reach the API, or refuse it; an address alone stands for itself.

    Raises:
        Misfit: it is none, or nobody comes from there.
    """
    return _allowed(_network(value if "/" in str(value) else f"{value}/32"))


def _allowed(network: IPv4Network) -> IPv4Network:
    if network.prefixlen < _PREFIX_OF_ACCESS:
        hint = "name the addresses you work from; the API is protected by certificates, but not meant for everyone"
        part = "the whole" if network.prefixlen == 0 else "a large part of the"
        raise Misfit(f"opens the API to {part} internet", hint)
    for nobodys, what in NOBODYS.items():
        if network.subnet_of(nobodys):
            raise Misfit(f"inside {nobodys}, which is {what}: nobody comes from there", PUBLIC_ADDRESS)
    return network


def _ssh_key(value: str) -> str:
    """Take the name of a key as documents and tables can show it."""
    if not re.fullmatch(rf"(?! )[ -_a-{{}}~]{{1,{SSH_KEY_NAME_LENGTH}}}(?<! )", value):
        hint = f"1 to {SSH_KEY_NAME_LENGTH} ASCII characters, without `|`, backtick, or space at an end; rename the key"
        raise Misfit("not a name that can be shown", hint)
    return value


def _ssh_keys(value: tuple[str, ...]) -> tuple[str, ...]:
    if not 1 <= len(value) <= SSH_KEYS:
        raise Misfit(f"{len(value)} keys, not 1 to {SSH_KEYS}", "whoever holds one is root on every node")
    return value


def _date(value: Any) -> date:
    """Read `2026-12-24` and nothing that only looks like it."""
    try:
        if isinstance(value, str) and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
            return date.fromisoformat(value)
    except ValueError as error:
        raise Misfit("no day of the calendar") from error
    raise Misfit('not a date such as "2026-12-24"')


def _count(value: int) -> int:
    if not 0 <= value <= NODES_PER_POOL:
        raise Misfit(f"a pool has 0 to {NODES_PER_POOL} nodes")
    return value


def _max_unavailable(value: int) -> int:
    if not 1 <= value <= NODES_PER_POOL:
        raise Misfit(f"a rollout replaces 1 to {NODES_PER_POOL} nodes at once")
    return value


_LABEL = "a-z, 0-9 and `-`, beginning with a letter and not ending with `-`, at most {} characters"

Network = Annotated[IPv4Network, BeforeValidator(_network)]
PrivateNetwork = Annotated[Network, _inside(*VPC_NETWORKS, _SHARED)]
Count = Annotated[int, Field(strict=True)]
Flag = Annotated[bool, Field(strict=True)]
Datapath = Literal["mesh", "vpc"]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NetworkSpec(_Section):
    """The four networks of a cluster, and how pods of different nodes reach each other."""

    vpc: Annotated[Network, _inside(*VPC_NETWORKS), _prefix(*VPC_PREFIXES, "a VPC")]
    """The range of the VPC: the provider gives each droplet an address of it; nothing is built on that."""
    nodes: Annotated[PrivateNetwork, _prefix(16, 28, "the network of the nodes")]
    """The planned addresses of the nodes: that with number 1 has the first, for life."""
    pods: Annotated[PrivateNetwork, _prefix(8, 24, "the network of the pods")]
    """The addresses of the pods: each node has a /24 of it, by its number, for life."""
    services: Annotated[PrivateNetwork, _prefix(12, 26, "the network of the services")]
    """The addresses of the services: the first is the API, the tenth is DNS."""
    datapath: Datapath = "mesh"
    """How pods reach those of other nodes: through WireGuard, or by plain routes in the VPC."""


class PoolSpec(_Section):
    """Nodes that differ only in their number."""

    name: Annotated[str, _rule(f"{_LABEL.format(POOL_NAME_LENGTH)}, no digit at the end", _pool_name)]
    """What its nodes are called, before their number: `node` gives `node01`."""
    role: Role
    """Whether its nodes run etcd and the API server, or pods alone."""
    schedulable: Flag | None = None
    """Whether its nodes take pods; a worker always does, a control-plane node does not unless told."""
    count: Annotated[Count, _rule(f"0 to {NODES_PER_POOL}", _count)]
    """How many nodes it has."""
    size: Annotated[str, _rule("a size of the provider, by its form", _size)]
    """What its droplets are: processors and memory, by the provider's name."""
    max_unavailable: Annotated[Count, _rule(f"1 to {NODES_PER_POOL}", _max_unavailable)] = 1
    """How many of its nodes a rollout may replace at once; of control-plane nodes always one."""


class AccessSpec(_Section):
    """Who may reach the API."""

    api: tuple[Annotated[Network, _rule(f"public, a /{_PREFIX_OF_ACCESS} to a /32", _allowed)], ...]
    """Networks whose machines may reach the API; nobody else may."""


class IngressSpec(_Section):
    """Whose Ingresses are served."""

    namespaces: tuple[Annotated[str, _rule(_LABEL.format(NAMESPACE_LENGTH), _served)], ...] = ()
    """Namespaces whose Ingresses are served, besides the addons' own; the ingress reads Secrets there, nowhere else."""


class OrderBookSpec(_Section):
    """Which image is the order book, where it is not the lock's."""

    image: Annotated[str, _rule("`<registry>/<repository>:<tag>`, and `@sha256:<digest>` behind it", _image)] | None = (
        None
    )
    """The image that is run instead of the lock's; a launch in the cloud wants its digest too."""
    pull_secret: Annotated[str, _rule("the name of a file in `keys/<cluster>/`", _private_file)] | None = None
    """Who may pull it, if not everybody: a file beside the cluster's keys, in the form of docker's `config.json`."""


class SpacesSpec(_Section):
    """Where the nodes find their secrets and the roster."""

    bucket: Annotated[str, _rule("3 to 63 of a-z, 0-9 and `-`, with a letter or digit at both ends", _bucket)]
    """The bucket, by a name that nobody else has; it is made when it is missing, and never deleted."""
    region: Annotated[str, _one_of(SPACES_REGIONS, "not a region with Spaces")]
    """Where the bucket is."""


class DebugSpec(_Section):
    """Who may log into nodes, and how long."""

    ssh_keys: Annotated[
        tuple[Annotated[str, _rule("a name that is printable ASCII", _ssh_key)], ...],
        _rule(f"1 to {SSH_KEYS}", _ssh_keys),
    ]
    """Names of SSH keys of the account; whoever holds one can log in as root. Nobody can without `debug`."""
    until: Annotated[date, BeforeValidator(Rule("a day from today on, at most 30 ahead", _date))]
    """The last day on which somebody can, in UTC, in quotes; each node closes its sshd by itself then."""


class ClusterSpec(_Section):
    """What a person wrote, checked; nothing derived."""

    name: Annotated[str, _rule(_LABEL.format(CLUSTER_NAME_LENGTH), cluster_name)]
    """What the cluster is called; whatever it has in the account bears it."""
    region: Annotated[str, _one_of(tuple(REGIONS), "not a region")]
    """Where the droplets are."""
    release: Annotated[str, _rule("a lock that comes with the program, or a file of `releases/`", release_name)]
    """The lock that names every binary, package and image by digest."""
    image: Annotated[str, _one_of(IMAGES, "not an image this release is made for")]
    """The droplets' own image, the one thing that has no digest."""
    network: NetworkSpec
    """The networks of the cluster; no two may overlap."""
    pools: tuple[PoolSpec, ...]
    """The nodes, pool by pool."""
    access: AccessSpec
    """Who may reach the API."""
    spaces: SpacesSpec
    """Where the nodes find their sealed secrets and the roster."""
    ingress: IngressSpec = IngressSpec()
    """Whose Ingresses the addon `ingress` serves."""
    order_book: OrderBookSpec = OrderBookSpec()
    """Which image the addon `order-book` runs."""
    addons: tuple[str, ...]
    """What the cluster runs, in the order in which it is applied."""
    debug: DebugSpec | None = None
    """Who may log into nodes, where somebody has to look."""
