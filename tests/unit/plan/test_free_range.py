"""A range is proposed that clashes with nothing: not with VPCs that are there, nor with those that will be."""

from __future__ import annotations

from ipaddress import IPv4Network

import pytest

from generator.catalogue import DEFAULT_VPCS, REGIONS, RESERVED, VPC_NETWORKS, VPC_PREFIXES
from generator.description.tutorial import description
from generator.plan import free_range
from tests.keyring import planned

OWN = free_range.own(planned())


@pytest.mark.parametrize("prefix", range(VPC_PREFIXES[0], VPC_PREFIXES[1] + 1))
def test_what_is_proposed_is_free(prefix: int) -> None:
    taken = [*OWN]
    for _ in range(20):
        found = free_range.propose(taken, prefix)
        assert found is not None
        assert found.prefixlen == prefix
        anchors = [region.anchor for region in REGIONS.values() if region.anchor]
        assert not any(map(found.overlaps, [*taken, *RESERVED, *DEFAULT_VPCS, *anchors]))
        assert any(map(found.subnet_of, VPC_NETWORKS))
        taken.append(found)


def test_where_all_is_taken_nothing_is_proposed() -> None:
    assert free_range.propose([IPv4Network("10.0.0.0/8")], 20) is None


def test_no_region_has_by_default_what_init_writes() -> None:
    written = IPv4Network("10.77.0.0/20")
    assert f"vpc: {written} " in description("orderbook", "k8s-1.36")
    assert not any(map(written.overlaps, DEFAULT_VPCS))
    known = [region.default_vpc for region in REGIONS.values() if region.default_vpc]
    assert all(any(one.subnet_of(block) for block in DEFAULT_VPCS) for one in known)
    assert free_range.propose(OWN, 20) == written
