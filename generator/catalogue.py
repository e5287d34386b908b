"""Lists what is known of the provider before it is asked: regions, sizes and their prices, images, networks, limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network


@dataclass(frozen=True)
class Region:
    """One data centre; what is not known of it is None.

    Args:
        name: as the API gives it.
        anchor: what every droplet has an address of on its public interface, besides its public one.
        default_vpc: what a younger account's default VPC has, unless that was taken.
        has_spaces: whether buckets can be there.
    """

    name: str
    anchor: IPv4Network | None
    default_vpc: IPv4Network | None = None
    has_spaces: bool = True


REGIONS: Mapping[str, Region] = {
    "ams3": Region("Amsterdam 3", IPv4Network("10.18.0.0/16"), IPv4Network("10.110.0.0/20")),
    "atl1": Region("Atlanta 1", None),
    "blr1": Region("Bangalore 1", IPv4Network("10.47.0.0/16")),
    "fra1": Region("Frankfurt 1", IPv4Network("10.19.0.0/16"), IPv4Network("10.114.0.0/20")),
    "lon1": Region("London 1", IPv4Network("10.16.0.0/16")),
    "nyc1": Region("New York 1", IPv4Network("10.10.0.0/16"), IPv4Network("10.116.0.0/20"), has_spaces=False),
    "nyc2": Region("New York 2", IPv4Network("10.13.0.0/16"), has_spaces=False),
    "nyc3": Region("New York 3", IPv4Network("10.17.0.0/16"), IPv4Network("10.108.0.0/20")),
    "sfo2": Region("San Francisco 2", IPv4Network("10.46.0.0/16")),
    "sfo3": Region("San Francisco 3", IPv4Network("10.48.0.0/16"), IPv4Network("10.124.0.0/20")),
    "sgp1": Region("Singapore 1", IPv4Network("10.15.0.0/16")),
    "syd1": Region("Sydney 1", IPv4Network("10.49.0.0/16")),
    "tor1": Region("Toronto 1", IPv4Network("10.20.0.0/16")),
}
"""Source: https://docs.digitalocean.com/platform/regional-availability/ for the regions;
terraform-provider-digitalocean, `SpacesRegions`, for Spaces; a droplet's metadata for the anchor of ams3, the others at
second hand; public repositories that name their default VPC, as of November 2026."""

SPACES_REGIONS = tuple(slug for slug, region in REGIONS.items() if region.has_spaces)


@dataclass(frozen=True)
class Size:
    """One droplet size; `monthly` is in US dollars."""

    slug: str
    vcpus: int
    memory_mib: int
    disk_gib: int
    monthly: int
    kind: str = "Basic"

    @property
    def hourly(self) -> float:
        """Give the price of an hour: a month is never charged as more than 672 of them.

        Source: https://www.digitalocean.com/pricing/droplets
        """
        return round(self.monthly / 672, 5)


SIZES: Mapping[str, Size] = {
    size.slug: size
    for size in (
        Size("s-1vcpu-512mb-10gb", 1, 512, 10, 4),
        Size("s-1vcpu-1gb", 1, 1024, 25, 6),
        Size("s-1vcpu-2gb", 1, 2048, 50, 12),
        Size("s-2vcpu-2gb", 2, 2048, 60, 18),
        Size("s-2vcpu-4gb", 2, 4096, 80, 24),
        Size("s-4vcpu-8gb", 4, 8192, 160, 48),
        Size("s-8vcpu-16gb", 8, 16384, 320, 96),
        Size("c-2", 2, 4096, 25, 42, "CPU-Optimized"),
        Size("g-2vcpu-8gb", 2, 8192, 25, 63, "General Purpose"),
        Size("m-2vcpu-16gb", 2, 16384, 50, 84, "Memory-Optimized"),
    )
}
"""Source: the provider's price list as of 2026, https://www.digitalocean.com/pricing/droplets; there are more."""

SPACES_MONTHLY = 5
"""US dollars, one price for all buckets of an account. Source: https://docs.digitalocean.com/products/spaces/details/pricing/"""


@dataclass(frozen=True)
class Image:
    """One distribution image, with the name and distribution that the API gives it."""

    slug: str
    name: str
    distribution: str


DEBIAN_13 = Image("debian-13-x64", "13 x64", "Debian")
IMAGES: Mapping[str, Image] = {
    image.slug: image
    for image in (
        DEBIAN_13,
        Image("ubuntu-24-04-x64", "24.04 (LTS) x64", "Ubuntu"),
        Image("ubuntu-26-04-x64", "26.04 (LTS) x64", "Ubuntu"),
        Image("fedora-44-x64", "44 x64", "Fedora"),
        Image("rockylinux-10-x64", "10 x64", "Rocky Linux"),
    )
}
"""Source: `GET /v2/images?type=distribution` as of October 2026; there are more."""

RESERVED: Mapping[IPv4Network, str] = {
    IPv4Network("10.244.0.0/16"): "the provider's own Kubernetes",
    IPv4Network("10.245.0.0/16"): "the provider's own Kubernetes",
    IPv4Network("10.246.0.0/24"): "the provider's own Kubernetes",
    IPv4Network("10.229.0.0/16"): "the provider",
}
"""Networks that the provider uses itself, and by whom.
Source: https://docs.digitalocean.com/products/networking/vpc/concepts/plan-your-network/"""

DEFAULT_VPCS = (IPv4Network("10.96.0.0/11"), IPv4Network("10.128.0.0/12"))
"""Where the default VPCs of regions lie: a /20 with an even second octet of 100 to 126, in older accounts a /16 of 130
to 139. Source: public repositories and support threads that name theirs, as of November 2026."""

VPC_NETWORKS = tuple(IPv4Network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
VPC_PREFIXES = (16, 28)
"""What a VPC's range lies inside (RFC 1918), and its shortest and longest prefix.
Source: https://docs.digitalocean.com/reference/api/ (VPC create, `ip_range`)"""

VPC_RESERVED = 5
"""How many addresses of a VPC no droplet gets: the gateway, both ends and a few more; their number is not published.
Source: https://docs.digitalocean.com/products/networking/vpc/concepts/plan-your-network/ says that there are some."""

NOBODYS: Mapping[IPv4Network, str] = {
    IPv4Network("0.0.0.0/8"): "for no machine",
    IPv4Network("10.0.0.0/8"): "private",
    IPv4Network("100.64.0.0/10"): "shared by a provider's customers",
    IPv4Network("127.0.0.0/8"): "each machine's own",
    IPv4Network("169.254.0.0/16"): "for one link",
    IPv4Network("172.16.0.0/12"): "private",
    IPv4Network("192.0.0.0/24"): "reserved",
    IPv4Network("192.0.2.0/24"): "for documentation",
    IPv4Network("192.168.0.0/16"): "private",
    IPv4Network("198.18.0.0/15"): "for measurements",
    IPv4Network("198.51.100.0/24"): "for documentation",
    IPv4Network("203.0.113.0/24"): "for documentation",
    IPv4Network("224.0.0.0/4"): "for groups",
    IPv4Network("240.0.0.0/4"): "reserved",
}
"""Networks from which nobody comes over the internet, and what they are.
Source: https://www.iana.org/assignments/iana-ipv4-special-registry/ and, for groups, RFC 5771"""

USER_DATA_BYTES = 65_536
"""The longest user-data. Source: https://docs.digitalocean.com/reference/api/ (droplet create, `user_data`: 64 KiB)"""

MOST_FIREWALL_ADDRESSES = 1000
"""In one rule. Source: https://docs.digitalocean.com/products/networking/firewalls/details/limits/"""

MOST_VOLUMES = 15
"""At one droplet. Source: https://docs.digitalocean.com/products/volumes/details/limits/"""
LARGEST_VOLUME_GIB = 16_384
VOLUME_NAME_LENGTH = 64
"""Source: https://docs.digitalocean.com/reference/api/ (block storage create, `name`)"""
VOLUME_GIB_CENTS = 10
"""Of a volume, a month, for each GiB. Source: https://docs.digitalocean.com/products/volumes/details/pricing/"""

SNAPSHOT_GB_CENTS = 6
"""Of a droplet's snapshot, a month, for each GB; at least a cent.
Source: https://docs.digitalocean.com/products/images/snapshots/details/pricing/"""

RESERVED_IP_MONTHLY = 5
"""US dollars, of a reserved address that no droplet has; assigned it costs nothing.
Source: https://docs.digitalocean.com/products/networking/reserved-ips/details/pricing/"""
