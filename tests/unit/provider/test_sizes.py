"""Sizes of a form that nobody here knew are passed over, and those with graphics cards can be described."""

from __future__ import annotations

from typing import Any

import pytest

from generator.description import values
from generator.provider import answers

USUAL: dict[str, Any] = {"slug": "s-2vcpu-4gb", "regions": ["fra1"], "available": True, "price_monthly": 24.0}


@pytest.mark.parametrize(
    "change",
    [
        {"slug": None},
        {"slug": 7},
        {"regions": "everywhere"},
        {"available": "soon"},
        {"price_monthly": {"usd": 24}},
        {"price_monthly": "on request"},
    ],
)
def test_one_that_can_not_be_read_is_none(change: dict[str, Any]) -> None:
    assert answers.size(USUAL | change) is None
    assert answers.size(USUAL) is not None


def test_what_nobody_asked_for_is_no_matter() -> None:
    graphics = {"gpu_info": {"count": 8, "vram": {"amount": 640, "unit": "gib"}}, "memory": 1.9e6, "disk_info": None}
    found = answers.size(USUAL | {"slug": "gpu-h100x8-640gb"} | graphics)
    assert found is not None
    assert found.slug == "gpu-h100x8-640gb"


@pytest.mark.parametrize(
    "slug",
    [
        "gpu-h100x1-80gb",
        "gpu-mi300x8-1536gb-contracted",
        "gpu-4000adax1-20gb",
        "c-2",
        "so1_5-2vcpu-16gb",
        "s-1vcpu-512mb-10gb",
    ],
)
def test_sizes_that_there_are_can_be_described(slug: str) -> None:
    assert values.size(slug) == slug


@pytest.mark.parametrize("slug", ["s-2vcp-4gb", "gpu", "gpu-h100", "GPU-h100x1-80gb", "s2vcpu4gb", ""])
def test_misspelt_ones_are_told(slug: str) -> None:
    with pytest.raises(ValueError, match="not the form of a size"):
        values.size(slug)
