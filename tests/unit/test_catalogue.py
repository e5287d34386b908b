"""What the catalogue says of the provider's networks and prices fits together."""

from __future__ import annotations

import itertools

import pytest

from generator import catalogue


def test_the_providers_own_networks_overlap_nowhere() -> None:
    regions = catalogue.REGIONS.values()
    known = [network for region in regions for network in (region.anchor, region.default_vpc) if network is not None]
    for one, other in itertools.combinations([*known, *catalogue.RESERVED], 2):
        assert not one.overlaps(other), f"{one} {other}"


def test_a_default_vpc_has_a_range_that_a_vpc_may_have() -> None:
    shortest, longest = catalogue.VPC_PREFIXES
    for region in catalogue.REGIONS.values():
        if region.default_vpc is not None:
            assert any(region.default_vpc.subnet_of(network) for network in catalogue.VPC_NETWORKS)
            assert shortest <= region.default_vpc.prefixlen <= longest


@pytest.mark.parametrize(("slug", "hourly"), [("s-1vcpu-1gb", 0.00893), ("s-2vcpu-4gb", 0.03571), ("c-2", 0.0625)])
def test_an_hour_costs_what_the_api_says(slug: str, hourly: float) -> None:
    assert catalogue.SIZES[slug].hourly == hourly
