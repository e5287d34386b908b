"""Says what the emulated account can order, of what the catalogue has, and shows it as the API does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from generator import catalogue

# as at the provider, not every account gets every region, and not every region has every size: clients must look
_NOT_OFFERED = frozenset({"atl1", "nyc2", "sfo2"})
_NO_LARGE_SIZES = frozenset({"nyc1"})

REGIONS = {slug: region.name for slug, region in catalogue.REGIONS.items() if slug not in _NOT_OFFERED}
SIZES = catalogue.SIZES


def regions_of(size: catalogue.Size) -> Sequence[str]:
    """Name the regions that sell a size; one has none of the dedicated ones."""
    return [region for region in REGIONS if size.kind == "Basic" or region not in _NO_LARGE_SIZES]


def size_shape(size: catalogue.Size) -> dict[str, Any]:
    """Give the API's object of a size."""
    return {
        "slug": size.slug,
        "memory": size.memory_mib,
        "vcpus": size.vcpus,
        "disk": size.disk_gib,
        "transfer": size.monthly / 6,
        "price_monthly": float(size.monthly),
        "price_hourly": size.hourly,
        "regions": regions_of(size),
        "available": True,
        "description": size.kind,
    }


@dataclass(frozen=True)
class DropletImage:
    """One distribution image; only those with `bootable` have a machine behind them in the lab."""

    id: int
    image: catalogue.Image

    @property
    def slug(self) -> str:
        """What it is ordered by."""
        return self.image.slug

    @property
    def bootable(self) -> bool:
        """Say whether the lab has a base root of it."""
        return self.image == catalogue.DEBIAN_13

    def shape(self) -> dict[str, Any]:
        """Give the API's object."""
        return {
            "id": self.id,
            "name": self.image.name,
            "distribution": self.image.distribution,
            "slug": self.slug,
            "public": True,
            "regions": list(REGIONS),
            "created_at": "2026-09-30T10:00:00Z",
            "type": "base",
            "min_disk_size": 10,
            "size_gigabytes": 2.1,
            "description": f"{self.image.distribution} {self.image.name}",
            "tags": [],
            "status": "available",
            "error_message": "",
        }


IMAGES = {
    slug: DropletImage(number, catalogue.IMAGES[slug])
    for slug, number in {
        "debian-13-x64": 212_001_013,
        "ubuntu-24-04-x64": 212_001_024,
        "ubuntu-26-04-x64": 212_001_026,
        "fedora-44-x64": 212_001_044,
        "rockylinux-10-x64": 212_001_110,
    }.items()
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
        "sizes": [size.slug for size in SIZES.values() if slug in regions_of(size)],
    }
