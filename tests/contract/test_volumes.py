"""Volumes outlive droplets and clusters: nothing but a word of its own ever deletes one."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from generator.cluster.destroy import Destroyer
from generator.lab.account import volumes
from generator.lab.unkindness import KIND, Unkindness
from generator.plan.names import volume_description
from generator.plan.project import Project
from tests.contract.operating import gen, ok
from tests.contract.test_launch import FAST, is_one_cluster, nothing_is_left
from tests.contract.test_replace import described
from tests.contract.world import World

UNKIND = replace(KIND, volume_lag=1.0, list_lag=0.3)


@pytest.fixture
def unkindness() -> Unkindness:
    return UNKIND


def identifiers(world: World) -> dict[str, str]:
    return {one.name: one.id for one in world.account.volumes.values()}


def test_a_replaced_node_has_its_volume_again(world: World, project: Project) -> None:
    ok(gen(world, project, "launch", "--yes"))
    before = identifiers(world)
    assert set(before) == {f"orderbook-node0{number}-data" for number in (1, 2, 3)}
    said = ok(gen(world, project, "replace", "node02", "--yes")).err
    assert "until volume orderbook-node02-data has left droplet" in said
    assert identifiers(world) == before
    is_one_cluster(world, project)


def test_they_outlive_the_cluster_and_are_taken_up_again(world: World, project: Project) -> None:
    ok(gen(world, project, "launch", "--yes"))
    before = identifiers(world)
    said = ok(gen(world, project, "destroy", "--yes", "orderbook")).err
    assert "and these stay, with all data:\n  volume   orderbook-node01-data, 10 GiB, $1 a month" in said
    assert "volume   orderbook-node01-data, 10 GiB, $1 a month stays with its data" in said
    nothing_is_left(world, project)
    assert identifiers(world) == before
    again = ok(gen(world, project, "destroy", "--yes", "orderbook")).err
    assert "nothing of orderbook is there, but for its volumes" in again
    ok(gen(world, project, "launch", "--yes"))
    assert identifiers(world) == before
    is_one_cluster(world, project)
    ok(gen(world, project, "destroy", "--yes", "orderbook", "--volumes", "orderbook"))
    nothing_is_left(world, project)
    assert identifiers(world) == {}


@pytest.mark.parametrize("change", [3, 8, 13])
def test_a_destroy_of_volumes_is_killed_and_goes_on(world: World, project: Project, change: int) -> None:
    ok(gen(world, project, "launch", "--yes"))
    words = ("destroy", "--yes", "orderbook", "--volumes", "orderbook")
    assert gen(world, project, *words, die_at=change).code in (-9, 0)
    ok(gen(world, project, *words))
    nothing_is_left(world, project)
    assert identifiers(world) == {}


def test_a_name_that_another_s_begins_with_deletes_nothing_of_it(
    world: World, project: Project, tmp_path: Path
) -> None:
    """Without a description, and when the VPC is gone, the name alone tells whose a volume is."""
    ok(gen(world, project, "launch", "--yes"))
    ok(gen(world, project, "destroy", "--yes", "orderbook"))
    order = {"name": "orderbook-eu-node01-data", "region": "fra1", "size_gigabytes": 10}
    volumes.create(world.account, order | {"description": volume_description("0" * 36, "node01", "data")}, time.time())
    destroyer = Destroyer("orderbook", world.connection, FAST, print, bucket=None, volumes=True)
    destroyer.destroy(destroyer.find())
    assert set(identifiers(world)) == {"orderbook-eu-node01-data"}


def test_another_name_deletes_nothing(world: World, project: Project) -> None:
    outcome = gen(world, project, "destroy", "--yes", "orderbook", "--volumes", "other")
    assert outcome.code == 1
    assert "error: `--volumes other` is not the cluster's name\n  hint: it is `orderbook`" in outcome.err


def test_one_grows_under_its_droplet(world: World, project: Project) -> None:
    ok(gen(world, project, "launch", "--yes"))
    droplets = {one.id for one in world.account.living()}
    larger = described(world, project, "size: 10}", "size: 20}")
    ok(gen(world, larger, "launch", "--yes"))
    assert {one.size_gigabytes for one in world.account.volumes.values()} == {20}
    assert {one.id for one in world.account.living()} == droplets
    assert "nothing is to be done" in ok(gen(world, larger, "rollout", "--yes")).err, "its size is in no document"
    smaller = described(world, larger, "size: 20}", "size: 15}")
    refused = gen(world, smaller, "launch", "--yes")
    assert refused.code == 1
    assert "has 20 GiB, and 15 are described: a volume never shrinks" in refused.err


def test_another_file_system_than_it_has_stops_a_launch_before_any_droplet(world: World, project: Project) -> None:
    ok(gen(world, project, "launch", "--yes"))
    ok(gen(world, project, "destroy", "--yes", "orderbook"))
    before = identifiers(world)
    other = described(world, project, "size: 10}", "size: 10, filesystem: xfs}")
    refused = gen(world, other, "launch", "--yes")
    assert refused.code == 1
    assert "has ext4, and xfs is described: what is there is never formatted" in refused.err
    assert (world.account.living(), identifiers(world)) == ([], before)
    ok(gen(world, other, "destroy", "--yes", "orderbook", "--volumes", "orderbook"))
    ok(gen(world, other, "launch", "--yes"))
    assert {one.description.rpartition(", ")[2] for one in world.account.volumes.values()} == {"xfs"}


def test_another_cluster_s_volume_stops_a_launch_before_any_droplet(world: World, project: Project) -> None:
    order = {"name": "orderbook-node02-data", "region": "fra1", "size_gigabytes": 10, "description": "payroll"}
    volumes.create(world.account, order, time.time())
    refused = gen(world, project, "launch", "--yes")
    assert refused.code == 1
    assert "is not this cluster's: its description is 'payroll'" in refused.err
    assert world.account.living() == []
    ok(gen(world, project, "destroy", "--yes", "orderbook", "--volumes", "orderbook"))
    assert "orderbook-node02-data" in identifiers(world)
