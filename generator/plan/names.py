"""Names what a cluster has outside of its nodes, and reads the names back: tags, objects, descriptions, ports."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

API_PORT = 6443
BALANCER_PORT = 7443
WIREGUARD_PORT = 51820
METRICS_PORT = 4443
ORDER_BOOK_WEB = "order-book-web"
"""Namespace of the order book's Ingress: the ingress reads Secrets there, and there are none."""

RELEASED = "released by hardway"
"""Description of a VPC that no cluster owns any more but that the provider does not let go."""

_NODE = ":node:"
_DOCUMENT = ":doc:"
_COMMIT = ":commit:"
_OWNER = re.compile(
    r"hardway cluster (?P<id>[0-9a-f-]{36}), objects in (?P<bucket>[^\s,]+) (?P<region>[^\s,]+)"
    r"(, roster (?P<generation>[0-9]{1,12}))?"
)
_VOLUME = re.compile(
    r"hardway cluster (?P<id>[0-9a-f-]{36}), (?P<node>[a-z0-9-]+)'s (?P<volume>[a-z0-9]+)(, (?P<filesystem>xfs))?"
)
_BUNDLE = re.compile(r"(?P<node>.+)-[0-9a-f]{32}\.bundle")


@dataclass(frozen=True)
class Owner:
    """Whose a VPC is and where that cluster's objects lie, as the VPC's description says it.

    `generation` is the highest of a roster that was published, 0 before the first: an older one that lies in the
    bucket was put back by somebody.
    """

    cluster_id: str
    bucket: str
    region: str
    generation: int = 0

    def __str__(self) -> str:
        """Write the description."""
        roster = f", roster {self.generation}" if self.generation else ""
        return f"hardway cluster {self.cluster_id}, objects in {self.bucket} {self.region}{roster}"


def read_owner(description: str) -> Owner | None:
    """Read whose a VPC is; None when it is no cluster's.

    >>> read_owner(str(Owner("0" * 36, "bucket", "fra1", 7)))
    Owner(cluster_id='000000000000000000000000000000000000', bucket='bucket', region='fra1', generation=7)
    """
    found = _OWNER.fullmatch(description)
    return Owner(found["id"], found["bucket"], found["region"], int(found["generation"] or 0)) if found else None


def bake_key(cluster: str, digest: str) -> str:
    """Name the object in which a droplet says how far it is with what a baked image of that digest holds."""
    return f"{prefix(cluster)}bake/{digest}.json"


def object_name(cluster: str) -> str:
    """Give the name of a cluster's VPC, firewall and SSH key."""
    return f"hardway-{cluster}"


def cluster_tag(cluster: str) -> str:
    """Give the tag of everything a cluster has in the account."""
    return f"hardway:{cluster}"


def node_tag(cluster: str, node: str) -> str:
    """Give the tag of a node's droplet."""
    return f"{cluster_tag(cluster)}{_NODE}{node}"


def document_tag(cluster: str, sha256: str) -> str:
    """Give the tag that says with which document a droplet was born."""
    return f"{cluster_tag(cluster)}{_DOCUMENT}{sha256[:16]}"


def commit_tag(cluster: str, commit: str) -> str:
    """Give the tag that says which commit held a droplet's document."""
    return f"{cluster_tag(cluster)}{_COMMIT}{commit[:12]}"


def tagged_node(cluster: str, tags: Iterable[str]) -> str | None:
    """Read from a droplet's tags which node it is.

    >>> tagged_node("orderbook", ["hardway:orderbook", node_tag("orderbook", "node01")])
    'node01'
    """
    prefix = node_tag(cluster, "")
    return next((tag.removeprefix(prefix) for tag in sorted(tags) if tag.startswith(prefix)), None)


def volume_name(cluster: str, node: str, volume: str) -> str:
    """Name a node's volume in the account."""
    return f"{cluster}-{node}-{volume}"


def volume_description(cluster_id: str, node: str, volume: str, filesystem: str = "ext4") -> str:
    """Say in the account whose a volume is, and with what it is formatted where that is not ext4."""
    return f"hardway cluster {cluster_id}, {node}'s {volume}" + (f", {filesystem}" if filesystem != "ext4" else "")


def volume_owner(description: str) -> str | None:
    """Read from a volume's description which cluster's it is, by its id.

    >>> volume_owner(volume_description("0" * 36, "node01", "data"))
    '000000000000000000000000000000000000'
    """
    found = _VOLUME.fullmatch(description)
    return found["id"] if found else None


def volume_filesystem(description: str) -> str:
    """Read from a volume's description what it was to be formatted with; nobody can change a description.

    >>> volume_filesystem(volume_description("0" * 36, "node01", "data", "xfs"))
    'xfs'
    """
    found = _VOLUME.fullmatch(description)
    return (found and found["filesystem"]) or "ext4"


def is_volume_of(cluster: str, name: str, description: str) -> bool:
    """Tell whether a volume is that of a cluster of this name: names alone can't, since both may hold dashes.

    >>> is_volume_of("order", "order-book-node01-data", volume_description("0" * 36, "node01", "data"))
    False
    """
    found = _VOLUME.fullmatch(description)
    return found is not None and name == volume_name(cluster, found["node"], found["volume"])


def volume_device(name: str) -> str:
    """Give the stable path of a volume's disk.

    Source: https://docs.digitalocean.com/products/volumes/how-to/mount/
    """
    return f"/dev/disk/by-id/scsi-0DO_Volume_{name}"


def default_vpc(region: str) -> str:
    """Name a region's default VPC, as the provider does."""
    return f"default-{region}"


def prefix(cluster: str) -> str:
    """Say below what all objects of a cluster lie in its bucket."""
    return f"{cluster}/"


def lock_key(cluster: str) -> str:
    """Say where the launch lock lies."""
    return f"{prefix(cluster)}lock"


def bundles_prefix(cluster: str) -> str:
    """Say below what the sealed bundles lie."""
    return f"{prefix(cluster)}bundles/"


def bundle_key(cluster: str, node: str, chance: str) -> str:
    """Say where a node's bundle goes; `chance` is 32 hex digits that nobody can guess."""
    return f"{bundles_prefix(cluster)}{node}-{chance}.bundle"


def bundle_node(cluster: str, key: str) -> str | None:
    """Read from an object's key whose bundle it is; None when it is none.

    >>> bundle_node("orderbook", bundle_key("orderbook", "node01", "0" * 32))
    'node01'
    """
    start = bundles_prefix(cluster)
    found = _BUNDLE.fullmatch(key.removeprefix(start)) if key.startswith(start) else None
    return found["node"] if found else None


def status_key(cluster: str, node: str) -> str:
    """Say where a node writes how far it is."""
    return f"{prefix(cluster)}status/{node}.json"


def status_node(cluster: str, key: str) -> str | None:
    """Read from an object's key whose status it is; None when it is none.

    >>> status_node("orderbook", status_key("orderbook", "node01"))
    'node01'
    """
    node = key.removeprefix(f"{prefix(cluster)}status/").removesuffix(".json")
    return node if key == status_key(cluster, node) else None


def state_access_name(sha256: str) -> str:
    """Name the sealed way to the bucket for snapshots by its bytes, as it lies directly below the public prefix."""
    return f"{sha256}.access"


def state_access_key(public: str, sha256: str) -> str:
    """Say where below the public prefix the sealed way to the bucket for snapshots lies."""
    return f"{public}/{state_access_name(sha256)}"


def state_key_name(cluster: str) -> str:
    """Name the Spaces key with which control-plane nodes write snapshots."""
    return f"{object_name(cluster)}-state"


def kept_prefix(cluster: str, kind: str) -> str:
    """Say below what all of one kind lie in the bucket for snapshots: `etcd` or `database`."""
    return f"{prefix(cluster)}{kind}/"


def kept_key(cluster: str, kind: str, name: str, ending: str) -> str:
    """Say where one lies: `age` is what is sealed, `json` its manifest, `verified` the word of who has tried it."""
    return f"{kept_prefix(cluster, kind)}{name}.{ending}"


def resealed_prefix(cluster: str) -> str:
    """Say below what in the first bucket lies what is sealed anew for one node, until that has it."""
    return f"{prefix(cluster)}restore/"


def resealed_key(cluster: str, plain_sha256: str, chance: str) -> str:
    """Say where one lies; by the digest of what is in it a restore that was begun is known again."""
    return f"{resealed_prefix(cluster)}{plain_sha256[:16]}-{chance}.age"


def spaces_tool(region: str) -> str:
    """Give the command with which a person changes what the whole bucket is set to."""
    return f"aws --endpoint-url https://{region}.digitaloceanspaces.com s3api"


def public_prefix(cluster: str, cluster_id: str) -> str:
    """Give the only prefix of the bucket that anybody may read, without a slash at its end."""
    return f"{prefix(cluster)}{cluster_id.replace('-', '')}/public"


def roster_key(public: str) -> str:
    """Say where below the public prefix the roster lies."""
    return f"{public}/roster.json"


def is_roster_key(key: str) -> bool:
    """Tell whether an object's key is that of a roster, whosever it is."""
    return key.endswith(roster_key("/public"))


def canary_keys(cluster: str, public: str) -> tuple[str, str]:
    """Say where the canary sings: where anyone may hear it, and where nobody may."""
    return f"{public}/canary", f"{prefix(cluster)}canary"


def package_key(public: str, sha256: str) -> str:
    """Say where below the public prefix a Debian package is mirrored."""
    return f"{public}/packages/{sha256}.deb"


def archive_name(sha256: str) -> str:
    """Name an archive by its content, as it lies directly below the public prefix."""
    return f"{sha256}.tar"


def sealed_name(sha256: str) -> str:
    """Name a sealed archive by its bytes, as it lies directly below the public prefix."""
    return f"{sha256}.sealed"


def archive_key(public: str, sha256: str) -> str:
    """Say where below the public prefix an archive lies."""
    return f"{public}/{archive_name(sha256)}"


def sealed_key(public: str, sha256: str) -> str:
    """Say where below the public prefix a sealed archive lies."""
    return f"{public}/{sealed_name(sha256)}"
