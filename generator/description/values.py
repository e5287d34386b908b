"""Says what each value of a description may be by itself; what passes is said in words, everything else is refused."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from ipaddress import IPv4Network
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from generator.catalogue import (
    DEBIAN_13,
    LARGEST_VOLUME_GIB,
    MOST_FIREWALL_ADDRESSES,
    MOST_VOLUMES,
    NOBODYS,
    VPC_NETWORKS,
)
from generator.release import baked, lock_file
from generator.validation import Misfit, suggestion

IMAGES = (DEBIAN_13.slug,)
NODES_PER_POOL = 250
CLUSTER_NAME_LENGTH, POOL_NAME_LENGTH = 32, 24
NAMESPACE_LENGTH = 63
VOLUME_NAME_LENGTH = 12
ADDON_NAME_LENGTH = 40
HOST_LENGTH = 253
SSH_KEYS, SSH_KEY_NAME_LENGTH = 5, 64
# The cluster's own, and the addons': the ingress has no business in them.
CLOSED_NAMESPACES = ("hardway", "ingress", "kube-node-lease", "kube-public", "kube-system")
OWN_NAMESPACES = ("order-book", "order-book-web")
# A private key that a manifest brings into `rendered/` is published.
CLOSED_DIRECTORIES = ("keys", "rendered")
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


def rule(words: str, check: Callable[[Any], Any]) -> Any:
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


def pool_name(value: str) -> str:
    _label(value, at_most=POOL_NAME_LENGTH)
    if value[-1].isdigit():
        raise Misfit(
            "a pool's name may not end with a digit", "nodes are named by pool and number: `node` gives `node01`"
        )
    return value


def served(value: str) -> str:
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


def one_of(known: tuple[str, ...], what: str) -> Any:
    def check(value: str) -> str:
        if value not in known:
            raise Misfit(what, suggestion(value, known) or f"known: {', '.join(known)}")
        return value

    return rule(f"one of {_listed(known)}", check)


def _listed(words: Iterable[object]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def droplet_image(value: str) -> str:
    if value in IMAGES or baked.read(value):
        return value
    known = f"known: {', '.join(IMAGES)}, and snapshots as `gen bake` writes their names"
    raise Misfit("not an image this release is made for", suggestion(value, IMAGES) or known)


def image(value: str) -> str:
    lock_file.image("order-book", value)
    return value


def addon_name(value: str) -> str:
    return _label(value, at_most=ADDON_NAME_LENGTH)


def tree_path(value: str) -> str:
    parts = value.split("/")
    if not all(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", part) for part in parts):
        raise Misfit("not a directory beside the description", "write it like `addons/shop`: no `..`, no `/` before it")
    if inside := closed_part(value) or (parts[0] if parts[0] == "releases" else None):
        raise Misfit(f"inside `{inside}/`, which has a meaning of its own", "put it elsewhere, as in `addons/shop`")
    return value


def closed_part(path: str) -> str | None:
    """Name the part of a path below which no manifest is read: keys, what was rendered, and what is hidden.

    It holds at every depth: several clusters have their directories beside each other.

    >>> closed_part("prod/Keys/prod/operator.key"), closed_part(".git/config"), closed_part("addons/shop")
    ('Keys', '.git', None)
    """
    parts = path.split("/")
    return next((one for one in parts if one.lower() in CLOSED_DIRECTORIES or (one[:1] == "." and one != ".")), None)


def private_file(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", value):
        raise Misfit("not the name of a file in the cluster's directory below `keys/`", "name it without a path")
    return value


def host(value: str) -> str:
    """Take a name under which something is served, or refuse it."""
    label = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
    if not re.fullmatch(rf"({label}\.)+{label}", value):
        raise Misfit("not a DNS name", "use a-z, 0-9 and `-` in two labels or more, as in `book.example.com`")
    if len(value) > HOST_LENGTH:
        raise Misfit(f"{len(value)} characters, at most {HOST_LENGTH} are possible")
    if value.rpartition(".")[2].isdigit():
        raise Misfit("an address, not a name")
    return value


def size(value: str) -> str:
    if not re.fullmatch(r"(?a)([a-z][a-z\d]*(_\d+)?-(\d+|\d+vcpu-\d+[gm]b)|gpu-[a-z\d]+-\d+gb)(-[a-z\d]+)*", value):
        raise Misfit("not the form of a size", "sizes are named like `s-2vcpu-4gb`")
    return value


def bucket(value: str) -> str:
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
PREFIX_OF_ACCESS = 8


def inside(*around: IPv4Network) -> Any:
    names = [str(network) for network in around]

    def check(network: IPv4Network) -> IPv4Network:
        if not any(network.subnet_of(one) for one in around):
            raise Misfit(f"not inside {', '.join(names[:-1])} or {names[-1]}")
        return network

    return rule(f"inside {_listed(names)}", check)


def prefix(shortest: int, longest: int, what: str) -> Any:
    def check(network: IPv4Network) -> IPv4Network:
        if not shortest <= network.prefixlen <= longest:
            raise Misfit(f"{what} is a /{shortest} to a /{longest}")
        return network

    return rule(f"a /{shortest} to a /{longest}", check)


def access(value: Any) -> IPv4Network:
    """Take a network that may reach the API, or refuse it; an address alone stands for itself.

    Raises:
        Misfit: it is none, or nobody comes from there.
    """
    return allowed(_network(value if "/" in str(value) else f"{value}/32"))


def allowed(network: IPv4Network) -> IPv4Network:
    if network.prefixlen < PREFIX_OF_ACCESS:
        hint = "name the addresses you work from; the API is protected by certificates, but not meant for everyone"
        part = "the whole" if network.prefixlen == 0 else "a large part of the"
        raise Misfit(f"opens the API to {part} internet", hint)
    for nobodys, what in NOBODYS.items():
        if network.subnet_of(nobodys):
            raise Misfit(f"inside {nobodys}, which is {what}: nobody comes from there", PUBLIC_ADDRESS)
    return network


def ssh_key(value: str) -> str:
    """Take the name of a key as documents and tables can show it."""
    if not re.fullmatch(rf"(?! )[ -_a-{{}}~]{{1,{SSH_KEY_NAME_LENGTH}}}(?<! )", value):
        hint = f"1 to {SSH_KEY_NAME_LENGTH} ASCII characters, without `|`, backtick, or space at an end; rename the key"
        raise Misfit("not a name that can be shown", hint)
    return value


def ssh_keys(value: tuple[str, ...]) -> tuple[str, ...]:
    if not 1 <= len(value) <= SSH_KEYS:
        raise Misfit(f"{len(value)} keys, not 1 to {SSH_KEYS}", "whoever holds one is root on every node")
    return value


def day(value: Any) -> date:
    """Read `2026-12-24` and nothing that only looks like it."""
    try:
        if isinstance(value, str) and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
            return date.fromisoformat(value)
    except ValueError as error:
        raise Misfit("no day of the calendar") from error
    raise Misfit('not a date such as "2026-12-24"')


def count(value: int) -> int:
    if not 0 <= value <= NODES_PER_POOL:
        raise Misfit(f"a pool has 0 to {NODES_PER_POOL} nodes")
    return value


def volume_name(value: str) -> str:
    if not re.fullmatch(rf"[a-z][a-z0-9]{{0,{VOLUME_NAME_LENGTH - 1}}}", value) or value in NO_NAMES:
        hint = f"use a-z and 0-9, beginning with a letter, at most {VOLUME_NAME_LENGTH} characters"
        raise Misfit("not the name of a volume", hint)
    return value


def volume_size(value: int) -> int:
    if not 1 <= value <= LARGEST_VOLUME_GIB:
        raise Misfit(f"a volume has 1 to {LARGEST_VOLUME_GIB} GiB")
    return value


def firewall_addresses(value: tuple[IPv4Network, ...]) -> tuple[IPv4Network, ...]:
    if len(value) > MOST_FIREWALL_ADDRESSES:
        hint = "name larger networks"
        raise Misfit(f"{len(value):,} networks, a firewall's rule has at most {MOST_FIREWALL_ADDRESSES:,}", hint)
    return value


def volumes(value: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(value) > MOST_VOLUMES:
        raise Misfit(f"{len(value)} volumes, at most {MOST_VOLUMES} are at one droplet")
    return value


def kept(most: int, *, least: int = 0) -> Callable[[int], int]:
    """Make the check of how many snapshots are kept."""

    def check(value: int) -> int:
        if not least <= value <= most:
            raise Misfit(f"{least} to {most} are kept")
        return value

    return check


def max_unavailable(value: int) -> int:
    if not 1 <= value <= NODES_PER_POOL:
        raise Misfit(f"a rollout replaces 1 to {NODES_PER_POOL} nodes at once")
    return value


LABEL = "a-z, 0-9 and `-`, beginning with a letter and not ending with `-`, at most {} characters"

Network = Annotated[IPv4Network, BeforeValidator(_network)]
PrivateNetwork = Annotated[Network, inside(*VPC_NETWORKS, _SHARED)]
Count = Annotated[int, Field(strict=True)]
Flag = Annotated[bool, Field(strict=True)]
Datapath = Literal["mesh", "vpc"]
VolumeName = Annotated[str, rule(f"a-z and 0-9, a letter first, at most {VOLUME_NAME_LENGTH} characters", volume_name)]
PoolName = Annotated[str, rule(f"{LABEL.format(POOL_NAME_LENGTH)}, no digit at the end", pool_name)]
Access = Annotated[Network, rule(f"public, a /{PREFIX_OF_ACCESS} to a /32", allowed)]
Served = Annotated[str, rule(LABEL.format(NAMESPACE_LENGTH), served)]
DropletImage = Annotated[str, rule("`debian-13-x64`, or a snapshot's name as `gen bake` writes it", droplet_image)]
Image = Annotated[str, rule("`<registry>/<repository>:<tag>`, and `@sha256:<digest>` behind it", image)]
AddonName = Annotated[str, rule(LABEL.format(ADDON_NAME_LENGTH), addon_name)]
TreePath = Annotated[str, rule("a directory beside the description, by its path", tree_path)]
PrivateFile = Annotated[str, rule("the name of a file in `keys/<cluster>/`", private_file)]
Bucket = Annotated[str, rule("3 to 63 of a-z, 0-9 and `-`, with a letter or digit at both ends", bucket)]
ClusterName = Annotated[str, rule(LABEL.format(CLUSTER_NAME_LENGTH), cluster_name)]
ReleaseName = Annotated[str, rule("a lock that comes with the program, or a file of `releases/`", release_name)]
