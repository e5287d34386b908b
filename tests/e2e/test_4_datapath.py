"""Packets take every way in the cluster as they have to; `scripts/datapath` measures others, and how fast they are."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from generator.release import lock_file
from tests.datapath import stage
from tests.datapath.ways import WAYS, Checked, Ways, speed
from tests.e2e.harness import Cluster


@pytest.fixture(scope="module")
def ways(cluster: Cluster) -> Iterator[Ways]:
    """Run two pods on each node, and one in its own network."""
    images = {image.name: image for image in lock_file.load("k8s-1.36-source", cluster.directory).images}
    if "probe" not in images:
        message = "this cluster's lab was brought up without the image that measures"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    with stage.working(cluster, images["probe"]) as working:
        yield working


@pytest.mark.parametrize("way", [way for way in WAYS if way is not speed], ids=lambda way: way.__name__)
def test_packets_arrive(ways: Ways, way: Checked) -> None:
    row = way(ways)
    assert row.is_right, row.seen
