"""The registry of kinds: complete, in an order that works both ways, and all that launch, status and destroy walk."""

from __future__ import annotations

import inspect
import pkgutil
from dataclasses import fields
from importlib import import_module
from typing import Any

import pytest

from generator.cluster import kinds
from generator.cluster.crowd import LINES
from generator.cluster.diff import diff
from generator.cluster.kinds.droplet import DROPLET
from generator.cluster.kinds.kind import Action, Kind, told
from generator.cluster.kinds.registry import KINDS, REMOVAL_ORDER
from generator.cluster.kinds.vpc import VPC
from generator.cluster.launchable import Documents
from generator.cluster.observed import VOLUMES, Observed
from generator.provider.resources import Volume
from tests.keyring import NOW, planned

PLAN = planned(workers=1)
DOCUMENTS = Documents({node.name: "d" * 64 for node in PLAN.nodes}, "a" * 64, "b" * 64)
MODULES = [
    import_module(f"{kinds.__name__}.{module.name}")
    for module in pkgutil.iter_modules(kinds.__path__)
    if module.name not in ("kind", "registry")
]


def test_every_kind_that_has_a_file_is_registered() -> None:
    made = [value for module in MODULES for value in vars(module).values() if isinstance(value, Kind)]
    assert set(made) == set(KINDS)
    classes = {
        value
        for module in MODULES
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, Kind) and value is not Kind
    }
    assert classes == {type(kind) for kind in KINDS}


def test_each_is_removed_after_what_needs_it_and_the_vpc_last_as_it_names_the_bucket() -> None:
    assert sorted(kind.name for kind in REMOVAL_ORDER) == sorted(kind.name for kind in KINDS)
    assert REMOVAL_ORDER[-1] is VPC
    others = [kind for kind in KINDS if not kind.goes_last]
    assert [kind for kind in REMOVAL_ORDER if not kind.goes_last] == others[::-1]


def test_no_two_kinds_share_a_name_or_a_place() -> None:
    assert len({kind.name for kind in KINDS}) == len(KINDS)
    assert len({kind.found for kind in KINDS}) == len({kind.found.name for kind in KINDS}) == len(KINDS)


def test_from_nothing_all_is_made_in_the_registrys_order() -> None:
    actions = diff(PLAN, DOCUMENTS, Observed(NOW))
    order = list(dict.fromkeys(action.kind for action in actions))
    assert order == [kind for kind in KINDS if kind in order]
    always = {"ssh key", "tag", "vpc", "firewall", "bucket", "policy", "addons", "agent", "roster", "droplet"}
    assert always <= {kind.name for kind in order}, "bundles alone are made with their droplets"
    assert all(action.changes for action in actions)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_what_a_kind_finds_does_not_change_what_others_found(kind: Kind[Any]) -> None:
    before = Observed(NOW)
    after = before.having(kind.found, "something")
    assert after.of(kind.found) == "something"
    assert all(after.of(other.found) == other.found.nothing for other in KINDS if other is not kind)
    assert before == Observed(NOW)


def test_an_action_is_shown_with_all_it_says() -> None:
    action = diff(PLAN, DOCUMENTS, Observed(NOW))[0]
    assert action.facts.keys() == {field.name for field in fields(action)}
    assert action.facts["kind"] == "ssh key"


def test_of_many_actions_that_are_alike_one_speaks_for_all() -> None:
    few = [Action("create", DROPLET, f"node{number:02}", "s in fra1") for number in range(1, LINES + 1)]
    assert told(few) == [str(one) for one in few]
    other = Action("delete", DROPLET, "node99", "a second one")
    lines = told([few[0], other, *few[1:], Action("create", DROPLET, "node13", "s in fra1")])
    assert lines[0] == f"create  droplet  node01 and {LINES} more  (s in fra1)"
    assert lines[1] == str(other)
    assert set(lines[2:]) == {""}


def test_only_what_may_be_another_at_the_next_look_is_looked_at_again() -> None:
    def again(workers: int, observed: Observed) -> set[str]:
        plan = planned(workers=workers)
        return {kind.name for kind in KINDS if kind.changes_by_itself(plan, observed)}

    there = Observed(NOW).having(VOLUMES, (Volume("id", "orderbook-node01-data", "fra1", 10, ""),))
    assert again(0, Observed(NOW)) == {"droplet", "roster", "bundle"}
    assert again(1, Observed(NOW)) == {"droplet", "roster", "bundle", "volume"}
    assert again(0, there) == {"droplet", "roster", "bundle", "volume"}
