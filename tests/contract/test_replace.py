"""Replacing nodes of a living cluster: guards, order, proof, and a kill after every change."""

from __future__ import annotations

import itertools
import json
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from generator.cluster import trail
from generator.cluster.channel import PREFIX
from generator.documents import committed, render
from generator.pki.store import KeyStore
from generator.plan.names import roster_key
from generator.plan.project import Project
from generator.provider.spaces import Spaces
from tests.contract.operating import gen, ok
from tests.contract.world import World
from tests.described import POOL

CHANGES = 40
"""A replacement changes no more than this many things, requests to Kubernetes among them."""


@pytest.fixture
def world(world: World, project: Project) -> World:
    """A cluster that serves."""
    ok(gen(world, project, "launch", "--yes"))
    world.kubernetes.pods |= {"default/web": "node02", "default/other": "node01"}
    return world


def droplets(world: World) -> dict[str, int]:
    found = {droplet.name: droplet.id for droplet in world.account.living()}
    assert len(found) == len(world.account.living())
    return found


def is_whole(world: World) -> None:
    """Assert that all is up, votes, and takes pods, and that no mark is left."""
    little = world.kubernetes
    assert {machine.droplet.name for machine in world.up()} == set(droplets(world))
    assert world.voters == droplets(world)
    assert {name: node["spec"] for name, node in little.nodes.items()} == {name: {} for name in droplets(world)}
    # What a killed asker has asked is swept once its time is over; what the last launch did is kept.
    assert [name for name in little.maps if not name.startswith(PREFIX) and name != trail.NAME] == []
    assert not little.retired & set(droplets(world).values())


def test_one_is_replaced_and_the_others_are_left_alone(world: World, project: Project) -> None:
    before = droplets(world)
    world.kubernetes.asked.clear()
    events = [
        json.loads(line) for line in ok(gen(world, project, "replace", "node02", "--yes", "--json")).out.splitlines()
    ]
    after = droplets(world)
    assert {name for name in before if before[name] != after[name]} == {"node02"}
    is_whole(world)
    assert world.kubernetes.pods == {"default/other": "node01"}
    verbs = [verb for verb, _ in world.kubernetes.asked if verb in ("retire", "remove")]
    assert verbs == ["retire", "remove"]
    done = [event["step"] for event in events if event["state"] == "done"]
    wanted = ["cordon", "drain", "retire", "leave", "delete", "make", "serve"]
    assert [step for step in done if step in wanted] == wanted


def test_the_leader_hands_over_first(world: World, project: Project) -> None:
    world.leader = "node02"
    ok(gen(world, project, "replace", "node02", "--yes"))
    assert ("lead", "node02") in world.kubernetes.asked
    is_whole(world)


def test_the_same_node_twice_in_a_row(world: World, project: Project) -> None:
    seen = [droplets(world)["node01"]]
    for _ in range(2):
        ok(gen(world, project, "replace", "node01", "--yes"))
        seen.append(droplets(world)["node01"])
        is_whole(world)
    assert len(set(seen)) == 3


def test_one_whose_machine_is_gone(world: World, project: Project) -> None:
    world.destroy("node03")
    ok(gen(world, project, "replace", "node03", "--yes"))
    is_whole(world)


@pytest.mark.parametrize(
    "number",
    [number if number % 4 == 1 else pytest.param(number, marks=pytest.mark.long) for number in range(1, CHANGES + 1)],
)
def test_killed_after_any_change_and_run_again(world: World, project: Project, number: int) -> None:
    before = droplets(world)
    killed = gen(world, project, "replace", "node02", "--yes", die_at=number)
    if killed.code == 0:
        assert world.fate.count < number
    else:
        ok(gen(world, project, "replace", "node02", "--yes"))
    after = droplets(world)
    assert {name for name in before if before[name] != after[name]} == {"node02"}
    is_whole(world)


AWAY_AT = (1, 4, 7, 10, 13, 16, 19, 22, 25, 28)


@pytest.mark.parametrize("seconds", [0.5, 4.0], ids=["a moment", "long"])
@pytest.mark.parametrize(
    ("service", "number"),
    [
        pytest.param(service, number, marks=() if (number // 3 + place) % 5 == 0 else pytest.mark.long)
        for place, service in enumerate(("api", "spaces", "kubernetes"))
        for number in AWAY_AT
    ],
)
def test_a_service_goes_away_in_the_middle_and_it_is_run_again(
    world: World, project: Project, service: str, number: int, seconds: float
) -> None:
    before = droplets(world)
    outcome = gen(world, project, "replace", "node02", "--yes", away=(service, number, seconds))
    assert service in world.away_until or world.fate.count < number
    if outcome.code != 0:
        assert (outcome.code, "error: " in outcome.err) == (1, True), outcome.err
        assert "nothing" in outcome.err or "goes on" in outcome.err
        time.sleep(max(0.0, world.away_until[service] - time.monotonic()))
        ok(gen(world, project, "replace", "node02", "--yes"))
    after = droplets(world)
    assert {name for name in before if before[name] != after[name]} == {"node02"}
    is_whole(world)


def test_while_another_is_down_nothing_is_replaced(world: World, project: Project) -> None:
    before = droplets(world)
    for machine in world.machines.values():
        if machine.droplet.name == "node03":
            machine.ready = False
    outcome = gen(world, project, "replace", "node02", "--yes")
    assert (outcome.code, droplets(world), [*world.kubernetes.maps]) == (1, before, [trail.NAME])
    assert (
        "error: node03: is not Ready, and node02 would be away as well\n  hint: `gen replace node03` first"
        in outcome.err
    )
    assert droplets(world) == before


@pytest.mark.parametrize("number", [6, 9, 12, 15, 18, 21, 24, 27, 30])
def test_what_was_begun_is_undone_or_it_is_too_late_and_goes_on(world: World, project: Project, number: int) -> None:
    before = droplets(world)
    assert gen(world, project, "replace", "node02", "--yes", die_at=number).code in (0, -9)
    undone = gen(world, project, "replace", "node02", "--undo")
    if undone.code == 0:
        assert droplets(world) == before
    elif "was not begun" not in undone.err:
        assert "so it can't stay\n  hint: `gen replace` goes on" in undone.err
        ok(gen(world, project, "replace", "node02", "--yes"))
    is_whole(world)


def test_a_node_that_is_none(world: World, project: Project) -> None:
    outcome = gen(world, project, "replace", "node09", "--yes")
    assert outcome.code == 1
    assert "error: node09: no such node\n  hint: the nodes are node01, node02, node03" in outcome.err


def test_nobody_is_asked_without_a_terminal(world: World, project: Project) -> None:
    before = droplets(world)
    outcome = gen(world, project, "replace", "node02")
    assert (outcome.code, droplets(world), [*world.kubernetes.maps]) == (1, before, [trail.NAME])
    assert "nobody is there to be asked" in outcome.err


def volume(node: str, path: str) -> dict[str, Any]:
    """Give a volume of the database, which lies on one node."""
    term = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}
    return {
        "metadata": {"name": "v"},
        "spec": {
            "capacity": {"storage": "8Gi"},
            "claimRef": {"namespace": "order-book", "name": "data-postgres-0"},
            "local": {"path": path},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [term]}},
        },
    }


def test_the_only_copy_of_data_stays_without_a_word(world: World, project: Project) -> None:
    world.kubernetes.lists["/api/v1/persistentvolumes"] = [volume("node02", "/data")]
    world.kubernetes.lists["/api/v1/namespaces/order-book/pods"] = []
    outcome = gen(world, project, "replace", "node02", "--yes")
    assert outcome.code == 1
    assert "error: node02: holds the only copy of order-book/data-postgres-0 (8Gi)" in outcome.err
    ok(gen(world, project, "replace", "node01", "--yes"))
    world.kubernetes.lists["/api/v1/persistentvolumes"] = [volume("node02", "/var/lib/hardway/volumes/data")]
    ok(gen(world, project, "replace", "node02", "--yes"))
    is_whole(world)


def test_what_is_at_home_there_serves_until_the_machine_goes(world: World, project: Project) -> None:
    """A pod whose data lies on the node is asked about first, and ended last; the node is open again once Ready."""
    world.kubernetes.lists["/api/v1/persistentvolumes"] = [volume("node02", "/var/lib/hardway/volumes/data")]
    world.kubernetes.pods["order-book/postgres-0"] = "node02"
    world.kubernetes.claims["order-book/postgres-0"] = "data-postgres-0"
    world.kubernetes.asked.clear()
    told = ok(gen(world, project, "replace", "node02", "--yes", "--json")).out
    asked = [(verb, what) for verb, what in world.kubernetes.asked if verb in ("may leave", "evict", "remove")]
    [helper] = [what for verb, what in asked if verb == "remove"]
    first = {("evict", "default/web"), ("may leave", "order-book/postgres-0")}
    assert (set(asked[:2]), asked[2:]) == (first, [("remove", helper), ("evict", "order-book/postgres-0")])
    states = {event["step"]: event["state"] for event in map(json.loads, told.splitlines())}
    assert (states["part"], states["serve"], states["uncordon"]) == ("done", "done", "passed")
    is_whole(world)


def described(world: World, project: Project, old: str, new: str) -> Project:
    """Describe the cluster otherwise, and render; machines of new nodes can come up."""
    text = project.file.read_text()
    assert old in text
    project.file.write_text(text.replace(old, new))
    later = render.refresh(Project.load(project.file), now=datetime.now(UTC))
    committed.write(later, render.documents(later))
    later = Project.load(project.file)
    world.plan = later.plan
    store = KeyStore.open(later.keys_path, later.plan, later.inventory)
    world.report_keys = {
        **world.report_keys,
        **{node.name: store.report_secret(node.name) for node in later.plan.nodes},
    }
    return later


def entries(world: World, project: Project) -> list[str]:
    """Name the nodes of the published roster."""
    store = Spaces(world.connection, bucket=project.plan.spaces_bucket, region=project.plan.spaces_region)
    body = store.get(roster_key(project.plan.public_prefix))
    assert body is not None
    return [entry["name"] for entry in json.loads(json.loads(body)["payload"])["nodes"]]


def test_a_smaller_count_harms_nobody_until_a_rollout_takes_them_out(world: World, project: Project) -> None:
    before = droplets(world)
    smaller = described(world, project, "count: 3", "count: 1")
    said = ok(gen(world, smaller, "launch", "--yes")).err
    assert "keep    droplet  node03  (is no longer planned; `gen rollout` drains and removes it)" in said
    assert (droplets(world), world.voters, entries(world, smaller)) == (before, before, ["node01", "node02", "node03"])
    status = gen(world, smaller, "status")
    assert (status.code, "rollout would mend: node02 is no longer planned" in status.out) == (1, True)
    told = ok(gen(world, smaller, "rollout", "--yes", "--json")).out
    events = [(event["step"], event["state"], event["nodes"]) for event in map(json.loads, told.splitlines())]
    left = [nodes for step, state, nodes in events if (step, state) == ("leave", "done")]
    assert left == [["node02"], ["node03"]]
    assert (list(droplets(world)), entries(world, smaller)) == (["node01"], ["node01"])
    is_whole(world)
    assert ok(gen(world, smaller, "status")).code == 0


@pytest.mark.parametrize(
    "number",
    [number if number % 12 == 3 else pytest.param(number, marks=pytest.mark.long) for number in range(3, 60, 4)],
)
def test_a_removal_is_killed_and_goes_on(world: World, project: Project, number: int) -> None:
    smaller = described(world, project, "count: 3", "count: 1")
    killed = gen(world, smaller, "rollout", "--yes", die_at=number)
    assert killed.code in (0, -9)
    ok(gen(world, smaller, "rollout", "--yes"))
    assert (list(droplets(world)), entries(world, smaller)) == (["node01"], ["node01"])
    is_whole(world)


def test_a_larger_count_joins_one_by_one(world: World, project: Project) -> None:
    small = described(world, project, "count: 3", "count: 1")
    ok(gen(world, small, "rollout", "--yes"))
    large = described(world, small, "count: 1", "count: 3")
    said = ok(gen(world, large, "launch", "--yes")).err
    assert "(until node02 has joined etcd: one at a time)" in said
    assert entries(world, large) == ["node01", "node02", "node03"]
    is_whole(world)
    five = described(world, large, "count: 3", "count: 5")
    ok(gen(world, five, "rollout", "--yes"))
    assert len(droplets(world)) == 5
    is_whole(world)


def test_one_pool_s_node_is_exchanged_for_another_s(world: World, project: Project) -> None:
    two = POOL.replace("count: 3", "count: 2")
    extra = two.replace("name: node", "name: extra").replace("count: 2", "count: 1")
    exchanged = described(world, project, POOL, f"{two}\n{extra}")
    before = droplets(world)
    ok(gen(world, exchanged, "rollout", "--yes"))
    after = droplets(world)
    assert (sorted(after), after["node01"], after["node02"]) == (
        ["extra01", "node01", "node02"],
        before["node01"],
        before["node02"],
    )
    is_whole(world)


def test_every_node_is_rolled_out_the_leader_last(world: World, project: Project) -> None:
    before = droplets(world)
    world.leader = "node01"
    larger = described(world, project, "s-2vcpu-4gb", "s-4vcpu-8gb")
    told = ok(gen(world, larger, "rollout", "--yes", "--json")).out
    order = [event["nodes"] for event in map(json.loads, told.splitlines()) if event["step"] == "delete"]
    assert [nodes for nodes, again in itertools.pairwise([*order, None]) if nodes != again] == [
        ["node02"],
        ["node03"],
        ["node01"],
    ]
    assert not set(before.values()) & set(droplets(world).values())
    is_whole(world)
    assert "nothing is to be done" in ok(gen(world, larger, "rollout", "--yes")).err


@pytest.mark.parametrize(
    ("ails", "mends", "said"),
    [
        (
            lambda world: world.closed.add("node03"),
            lambda world: world.closed.clear(),
            "the order book through node03 (no answer)",
        ),
        (
            lambda world: world.kubernetes.lacking.add("postgres"),
            lambda world: world.kubernetes.lacking.clear(),
            "order-book/postgres (0 of 1 available)",
        ),
        (
            lambda world: world.kubernetes.idle.add("node03"),
            lambda world: world.kubernetes.idle.clear(),
            "node03 to reach the API through its balancer",
        ),
    ],
    ids=["an ingress", "an addon", "a balancer"],
)
def test_a_rollout_stops_where_something_is_not_well_and_goes_on_once_it_is(
    world: World, project: Project, ails: Callable[[World], None], mends: Callable[[World], None], said: str
) -> None:
    before = droplets(world)
    larger = described(world, project, "s-2vcpu-4gb", "s-4vcpu-8gb")
    ails(world)
    stopped = gen(world, larger, "rollout", "--yes")
    assert stopped.code == 1
    assert f"gate: time is up after 1 s, still waiting for {said}" in stopped.err
    assert "`gen rollout` goes on" in stopped.err
    assert droplets(world) == before
    mends(world)
    done = ok(gen(world, larger, "rollout", "--yes")).err
    assert not set(before.values()) & set(droplets(world).values())
    rows = [line.split() for line in done.splitlines() if re.match(r"\d/3 ", line)]
    assert [(row[0], row[1], row[3]) for row in rows] == [(f"{n}/3", "replace", "done") for n in (1, 2, 3)]


def test_where_no_ingress_can_be_reached_that_is_said_and_the_rest_is_seen(world: World, project: Project) -> None:
    world.closed |= set(droplets(world))
    larger = described(world, project, "s-2vcpu-4gb", "s-4vcpu-8gb")
    said = ok(gen(world, larger, "rollout", "--yes")).err
    assert said.count("note: no node's port 443 answers here, so the order book is not asked between the steps") == 1
    is_whole(world)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "pods: 10.42.0.0/16",
            "pods: 10.52.0.0/16",
            "network.pods is 10.52.0.0/16, and the living cluster was founded",
        ),
        (
            "bucket: orderbook-hardway",
            "bucket: other-hardway",
            "this cluster's objects are in bucket orderbook-hardway",
        ),
    ],
)
@pytest.mark.parametrize("verb", ["launch", "rollout"])
def test_what_no_rollout_can_carry_is_refused(
    world: World, project: Project, old: str, new: str, said: str, verb: str
) -> None:
    before = droplets(world)
    other = described(world, project, old, new)
    outcome = gen(world, other, verb, "--yes")
    assert outcome.code == 1
    assert said in outcome.err
    assert "destroy" not in outcome.err.replace("`gen destroy orderbook` removes it", "")
    assert droplets(world) == before
