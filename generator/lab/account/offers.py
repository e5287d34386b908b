"""Lists what the emulated provider sells: regions, droplet sizes and images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

REGIONS = {
    "ams3": "Amsterdam 3",
    "blr1": "Bangalore 1",
    "fra1": "Frankfurt 1",
    "lon1": "London 1",
    "nyc1": "New York 1",
    "nyc3": "New York 3",
    "sfo3": "San Francisco 3",
    "sgp1": "Singapore 1",
    "syd1": "Sydney 1",
    "tor1": "Toronto 1",
}

SPACES_REGIONS = ("ams3", "atl1", "blr1", "fra1", "lon1", "nyc3", "sfo2", "sfo3", "sgp1", "syd1", "tor1")
"""Regions that have Spaces; nyc1 and nyc2 have none. Source: terraform-provider-digitalocean `SpacesRegions`."""

_NO_LARGE_SIZES = frozenset({"nyc1"})


@dataclass(frozen=True)
class Size:
    """One droplet size with its monthly price in dollars."""

    slug: str
    vcpus: int
    memory_mib: int
    disk_gib: int
    price: float
    hourly: float
    description: str = "Basic"

    @property
    def regions(self) -> list[str]:
        """Name the regions that sell this size; one has none of the dedicated ones, so clients must look."""
        return [region for region in REGIONS if self.description == "Basic" or region not in _NO_LARGE_SIZES]

    def shape(self) -> dict[str, Any]:
        """Give the API's object."""
        return {
            "slug": self.slug,
            "memory": self.memory_mib,
            "vcpus": self.vcpus,
            "disk": self.disk_gib,
            "transfer": self.price / 6,
            "price_monthly": self.price,
            "price_hourly": self.hourly,
            "regions": self.regions,
            "available": True,
            "description": self.description,
        }


SIZES = {
    size.slug: size
    for size in (
        Size("s-1vcpu-512mb-10gb", 1, 512, 10, 4.0, 0.00595),
        Size("s-1vcpu-1gb", 1, 1024, 25, 6.0, 0.00893),
        Size("s-1vcpu-2gb", 1, 2048, 50, 12.0, 0.01786),
        Size("s-2vcpu-2gb", 2, 2048, 60, 18.0, 0.02679),
        Size("s-2vcpu-4gb", 2, 4096, 80, 24.0, 0.03571),
        Size("s-4vcpu-8gb", 4, 8192, 160, 48.0, 0.07143),
        Size("s-8vcpu-16gb", 8, 16384, 320, 96.0, 0.14286),
        Size("c-2", 2, 4096, 25, 42.0, 0.0625, "CPU-Optimized"),
        Size("g-2vcpu-8gb", 2, 8192, 25, 63.0, 0.09375, "General Purpose"),
        Size("m-2vcpu-16gb", 2, 16384, 50, 84.0, 0.125, "Memory-Optimized"),
    )
}


@dataclass(frozen=True)
class DropletImage:
    """One distribution image; only those with `bootable` have a machine behind them in the lab."""

    id: int
    slug: str
    name: str
    distribution: str
    bootable: bool = False

    def shape(self) -> dict[str, Any]:
        """Give the API's object."""
        return {
            "id": self.id,
            "name": self.name,
            "distribution": self.distribution,
            "slug": self.slug,
            "public": True,
            "regions": list(REGIONS),
            "created_at": "2026-09-30T10:00:00Z",
            "type": "base",
            "min_disk_size": 10,
            "size_gigabytes": 2.1,
            "description": f"{self.distribution} {self.name}",
            "tags": [],
            "status": "available",
            "error_message": "",
        }


IMAGES = {
    image.slug: image
    for image in (
        DropletImage(212_001_013, "debian-13-x64", "13 x64", "Debian", bootable=True),
        DropletImage(212_001_024, "ubuntu-24-04-x64", "24.04 (LTS) x64", "Ubuntu"),
        DropletImage(212_001_026, "ubuntu-26-04-x64", "26.04 (LTS) x64", "Ubuntu"),
        DropletImage(212_001_044, "fedora-44-x64", "44 x64", "Fedora"),
        DropletImage(212_001_110, "rockylinux-10-x64", "10 x64", "Rocky Linux"),
    )
}


def image(key: object) -> DropletImage | None:
    """Find an image by slug or number."""
    return next((found for found in IMAGES.values() if key in (found.slug, found.id, str(found.id))), None)


def region_shape(slug: str) -> dict[str, Any]:
    """Give the API's object of a region."""
    return {
        "name": REGIONS[slug],
        "slug": slug,
        "features": ["backups", "ipv6", "metadata", "install_agent", "storage", "image_transfer"],
        "available": True,
        "sizes": [size.slug for size in SIZES.values() if slug in size.regions],
    }
