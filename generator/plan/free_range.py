"""Finds a range for a VPC that is in nobody's way: no VPC of the account, none that a region will have by default."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network

from generator.catalogue import DEFAULT_VPCS, REGIONS, RESERVED
from generator.plan.decide import Plan

# Between the anchors of the regions and their default VPCs, the place that `gen init` takes first.
_PLACES = (IPv4Network("10.77.0.0/16"), *IPv4Network("10.64.0.0/11").subnets(new_prefix=16))


def propose(taken: Iterable[IPv4Network], prefix: int) -> IPv4Network | None:
    """Give the next range that clashes with nothing known, or None where there is none.

    Args:
        taken: the account's VPCs, and the networks of the cluster.
        prefix: how long its prefix is to be.
    """
    anchors = (region.anchor for region in REGIONS.values() if region.anchor is not None)
    closed = (*taken, *RESERVED, *DEFAULT_VPCS, *anchors)
    candidates = (network for place in _PLACES for network in place.subnets(new_prefix=max(prefix, place.prefixlen)))
    return next((one for one in candidates if not any(map(one.overlaps, closed))), None)


def own(plan: Plan) -> tuple[IPv4Network, ...]:
    """Give the networks of a cluster that its VPC may not overlap."""
    return (plan.node_cidr, plan.pod_cidr, plan.service_cidr)
