"""What people hear of their own addons: by a launch, by the status, and before anything with data is deleted."""

from __future__ import annotations

import json

import pytest

from generator.cluster import addon_state, own_addons
from generator.manifests.own import LABEL
from generator.manifests.reading import Identity
from generator.plan.project import Project
from tests.contract.operating import gen, ok
from tests.contract.world import World

CLAIM = "/api/v1/namespaces/shop/persistentvolumeclaims/data"
SPACE = "/api/v1/namespaces/shop"
STATES = {
    "shop": {
        "state": "applied",
        "kept": [["", "Namespace", "", "shop"], ["", "PersistentVolumeClaim", "shop", "data"]],
        "more": 3,
    },
    "till": {"state": "broken", "why": "deployment/till of namespace till: timed out"},
    "zoo": {"state": "waiting", "why": "for till"},
}


def labelled(addon: str) -> dict[str, object]:
    return {"metadata": {"labels": {LABEL: addon}}}


def test_a_launch_says_what_is_broken_and_has_it_tried_again(world: World, project: Project) -> None:
    ok(gen(world, project, "launch", "--yes"))
    world.kubernetes.states = STATES
    done = gen(world, project, "launch", "--yes")
    assert done.code == 1
    assert "error: till: the addon is broken: deployment/till of namespace till: timed out\n" in done.err
    assert "error: zoo: the addon is waiting: for till\n" in done.err
    assert "note: 2 objects left their addons and are kept" in done.err
    assert [verb for verb, _ in world.kubernetes.asked if verb == "again"] == ["again"]

    shown = gen(world, project, "status")
    assert shown.code == 1
    assert "addon till: broken, deployment/till of namespace till: timed out\n" in shown.out
    assert "addon shop: keeps PersistentVolumeClaim data of namespace shop, which left it\n" in shown.out
    assert "addon shop: keeps 3 more, named once addons are applied after these are deleted\n" in shown.out
    told = json.loads(gen(world, project, "status", "--json").out)
    assert told["whole"] is False
    assert [(one["name"], one["state"]) for one in told["own_addons"]] == [
        ("shop", "applied"),
        ("till", "broken"),
        ("zoo", "waiting"),
    ]

    world.kubernetes.states = {"shop": {"state": "applied"}}
    ok(gen(world, project, "launch", "--yes"))
    ok(gen(world, project, "status"))


def test_data_is_deleted_when_somebody_says_so_and_only_what_is_the_addons(world: World, project: Project) -> None:
    ok(gen(world, project, "launch", "--yes"))
    world.kubernetes.states = {"shop": STATES["shop"]}
    world.kubernetes.objects = {SPACE: labelled("other"), CLAIM: labelled("shop")}
    ok(gen(world, project, "launch", "--yes"))
    assert world.kubernetes.objects.keys() == {SPACE, CLAIM}
    done = ok(gen(world, project, "launch", "--yes", "--prune-data"))
    assert "delete PersistentVolumeClaim data of namespace shop, which left shop, and all that is in it" in done.err
    assert "PersistentVolumeClaim data of namespace shop is deleted" in done.err
    assert "Namespace shop was left alone" in done.err
    assert world.kubernetes.objects.keys() == {SPACE}
    assert world.kubernetes.states == {"shop": {"state": "applied", "more": 3}}, "no more is said of it"


@pytest.mark.parametrize(
    "kept",
    [
        *(["", "Namespace", "", "kube-system"], ["", "Namespace", "", "../x"], ["apps", "Deployment", "a", "b"]),
        *(["", "PersistentVolumeClaim", "kube-system", "a"], ["", "Namespace"], [1, 2, 3, 4], "text"),
    ],
)
def test_a_record_that_nobody_could_have_written_says_nothing(kept: object) -> None:
    assert addon_state.read(json.dumps({"shop": {"state": "applied", "kept": [kept]}})) == ()


@pytest.mark.parametrize("text", ["", "7", "[]", '{"a": 7}', '{"a": {"state": "fine"}}', "[" * 100_000])
def test_what_is_no_record_says_nothing(text: str) -> None:
    assert addon_state.read(text) == ()


def test_what_some_addon_has_again_is_not_deletable() -> None:
    (state,) = addon_state.read(json.dumps({"shop": STATES["shop"]}))
    space, claim = state.kept
    assert own_addons.deletable([state], {space}) == [("shop", claim)]
    assert own_addons.deletable([state], set()) == [("shop", space), ("shop", claim)]
    assert isinstance(space, Identity)
