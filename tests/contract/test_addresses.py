"""Reserved addresses: chosen by the provider, kept by the roster, moved to successors, and no stranger's touched."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from generator.documents import committed, render
from generator.lab.account import droplets, reserved_ips
from generator.lab.unkindness import KIND, Unkindness
from generator.plan.project import Project
from tests.contract.operating import gen, ok, render_tutorial
from tests.contract.test_launch import is_one_cluster, nothing_is_left, spaces
from tests.contract.test_replace import described
from tests.contract.world import World

UNKIND = replace(KIND, address_lag=0.5, list_lag=0.3, network_lag=0.3)
POOL = "volumes: [{name: data, size: 10}]}"
CHANGES = 64
"""A first launch of nodes that keep their addresses changes no more than this many things."""


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("project")
    first = render_tutorial(directory)
    text = first.file.read_text()
    assert POOL in text
    first.file.write_text(text.replace(POOL, f"{POOL[:-1]}, public: reserved}}"))
    project = render.refresh(Project.load(first.file), now=datetime.now(UTC))
    committed.write(project, render.documents(project))
    return directory


@pytest.fixture
def unkindness() -> Unkindness:
    return UNKIND


def listed(world: World, project: Project) -> dict[str, str]:
    """Give what the roster says of each node's address."""
    body = spaces(world, project).get(f"{project.plan.public_prefix}/roster.json")
    assert body is not None
    nodes = json.loads(json.loads(body)["payload"])["nodes"]
    return {one["name"]: one["public"] for one in nodes if one["public"]}


def held(world: World) -> dict[str, str]:
    """Give the address that each node's droplet has."""
    found = {}
    for one in world.account.reserved_ips.values():
        droplet = reserved_ips.holder(world.account, one)
        if droplet is not None:
            found[droplet.name] = one.ip
    return found


def stranger(world: World) -> str:
    """Keep an address that is nobody's of ours."""
    return reserved_ips.create(world.account, {"region": "fra1"}, time.time()).ip


def kept_by_all(world: World, project: Project) -> dict[str, str]:
    is_one_cluster(world, project)
    found = listed(world, project)
    assert found == held(world)
    assert set(found) == {"node01", "node02", "node03"}
    return found


def test_a_replaced_node_keeps_its_address_and_the_kubeconfig_has_it(world: World, project: Project) -> None:
    said = ok(gen(world, project, "launch", "--yes", "--json")).out
    before = kept_by_all(world, project)
    told = json.loads(said)
    assert told["api"] in before.values()
    assert set(told["public"]) == set(before.values())
    assert f"https://{told['api']}:6443" in Path(told["kubeconfig"]).read_text()
    ok(gen(world, project, "replace", "node02", "--yes"))
    assert kept_by_all(world, project) == before
    shown = gen(world, project, "status").out
    assert all(address in shown for address in before.values())
    assert gen(world, project, "launch", "--yes").code == 0


def test_one_that_is_lost_comes_back_at_its_address_and_a_stranger_s_is_never_touched(
    world: World, project: Project
) -> None:
    world.account.unkind = replace(world.account.unkind, address_limit=4)
    other = stranger(world)
    ok(gen(world, project, "launch", "--yes"))
    before = kept_by_all(world, project)
    world.destroy("node03")
    ok(gen(world, project, "launch", "--yes"))
    assert kept_by_all(world, project) == before
    said = ok(gen(world, project, "destroy", "--yes", "orderbook")).err
    assert all(f"release address {address}" in said for address in before.values())
    nothing_is_left(world, project)
    assert list(world.account.reserved_ips) == [other]


def test_one_that_somebody_released_is_replaced_by_another(world: World, project: Project) -> None:
    ok(gen(world, project, "launch", "--yes"))
    before = kept_by_all(world, project)
    reserved_ips.release(world.account, before["node01"], time.time())
    ok(gen(world, project, "launch", "--yes"))
    assert {name for name, ip in kept_by_all(world, project).items() if before[name] != ip} <= {"node01"}


def test_nodes_that_keep_none_any_more_give_theirs_back(world: World, project: Project) -> None:
    ok(gen(world, project, "launch", "--yes"))
    changed = described(world, project, ", public: reserved}", "}")
    said = ok(gen(world, changed, "launch", "--yes")).err
    assert said.count("keeps no address any more") >= 3
    assert (world.account.reserved_ips, listed(world, changed)) == ({}, {})


def test_the_account_s_limit_is_told_before_anything_is_made(world: World, project: Project) -> None:
    stranger(world)
    refused = gen(world, project, "launch", "--yes")
    assert "3 reserved addresses are to be had, the account has room for 2: its limit is 3, 1 are there" in refused.err
    assert world.account.living() == []


def test_who_has_no_right_to_addresses_launches_without(world: World, project: Project) -> None:
    world.account.unkind = replace(world.account.unkind, missing_scope="reserved_ip:read")
    assert "reserved_ip:read" in gen(world, project, "launch", "--yes").err
    assert world.account.living() == []
    changed = described(world, project, ", public: reserved}", "}")
    ok(gen(world, changed, "launch", "--yes"))
    is_one_cluster(world, changed)


@pytest.mark.parametrize(
    "number",
    [number if number % 8 == 2 else pytest.param(number, marks=pytest.mark.long) for number in range(38, CHANGES + 1)],
)
def test_killed_anywhere_no_address_is_lost(world: World, project: Project, number: int) -> None:
    killed = gen(world, project, "launch", "--yes", die_at=number)
    assert killed.code in (-9, 0), killed.err
    ok(gen(world, project, "launch", "--yes"))
    kept_by_all(world, project)
    assert len(world.account.reserved_ips) == 3
    ok(gen(world, project, "destroy", "--yes", "orderbook"))
    assert world.account.reserved_ips == {}


def test_one_that_a_person_gave_to_a_droplet_stays_unless_it_is_named(world: World, project: Project) -> None:
    plain = described(world, project, ", public: reserved}", "}")
    ok(gen(world, plain, "launch", "--yes"))
    droplet = world.account.living()[0]
    own = reserved_ips.create(world.account, {"droplet_id": droplet.id}, time.time()).ip
    order = {"name": "mail", "region": "fra1", "size": "s-1vcpu-1gb", "image": "debian-13-x64"}
    world.plan = None  # no machine of ours comes of it
    [mail] = droplets.create(world.account, order, time.time())
    free, others = stranger(world), reserved_ips.create(world.account, {"droplet_id": mail.id}, time.time()).ip
    said = ok(gen(world, plain, "destroy", "--yes", "orderbook")).err
    assert f"address  {own}: droplet {droplet.id} has it, and no roster has it" in said
    assert set(world.account.reserved_ips) == {own, free, others}
    refused = gen(world, plain, "destroy", "--yes", "orderbook", "--address", others)
    assert f"error: address {others}: droplet {mail.id} has it, which is not of this cluster" in refused.err
    for said in ("release address", "is none of this account, or is given back already"):
        assert said in ok(gen(world, plain, "destroy", "--yes", "orderbook", "--address", own)).err
        assert set(world.account.reserved_ips) == {free, others}


def test_one_of_the_roster_that_serves_another_machine_now_stays_there(world: World, project: Project) -> None:
    ok(gen(world, project, "launch", "--yes"))
    own = kept_by_all(world, project)
    world.plan = None  # no machine of ours comes of it
    order = {"name": "mail", "region": "fra1", "size": "s-1vcpu-1gb", "image": "debian-13-x64"}
    [mail] = droplets.create(world.account, order, time.time())
    taken = reserved_ips.find(world.account, own["node02"])
    taken.droplet = mail.id
    said = ok(gen(world, project, "destroy", "--yes", "orderbook")).err
    assert f"address  {taken.ip}: droplet {mail.id} has it, which is not of this cluster" in said
    assert list(world.account.reserved_ips) == [taken.ip]


def test_without_its_roster_no_address_is_said_to_be_a_person_s(world: World, project: Project) -> None:
    ok(gen(world, project, "launch", "--yes"))
    own = kept_by_all(world, project)
    spaces(world, project).delete(f"{project.plan.public_prefix}/roster.json")
    done = gen(world, project, "destroy", "--yes", "orderbook")
    for address in own.values():
        assert re.search(rf"warning: but for address  {address}: .* no roster could be read that says whose", done.err)
    assert done.code == 1, "they cost something"
    named = [word for address in own.values() for word in ("--address", address)]
    ok(gen(world, project, "destroy", "--yes", "orderbook", *named))
    assert world.account.reserved_ips == {}


def test_the_plan_is_read_in_what_is_reviewed(project: Project) -> None:
    reviewed = json.loads(render.documents(project)["roster.json"])
    assert [node["public"] for node in reviewed["nodes"]] == ["reserved"] * 3
    assert committed.difference(project, render.documents(project)) == ""
