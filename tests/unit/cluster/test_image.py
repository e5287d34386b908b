"""Which snapshot droplets are made of: the one that is meant, and nothing where that is not sure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest

from generator.cluster.diff import diff
from generator.cluster.kinds import image
from generator.cluster.kinds.image import IMAGE, IMAGES, named, surplus
from generator.cluster.kinds.kind import Work
from generator.cluster.launchable import Documents
from generator.cluster.observed import Observed
from generator.cluster.preflight import Availability, faults
from generator.provider.digitalocean import Cloud
from generator.provider.resources import Account, Size, Snapshot
from generator.release import baked
from tests.keyring import NOW, planned

NAME = "hardway-k8s-1.36-0123456789ab"
ONE = Snapshot(7, NAME, ("fra1",), 25, 3.1, NOW)
OTHER = replace(ONE, id=9)
PLAN = planned()
DOCUMENTS = Documents({node.name: "d" * 64 for node in PLAN.nodes}, "a" * 64, "b" * 64)


class Account_(Cloud):  # noqa: N801
    """Has some snapshots, and is asked for nothing else."""

    def __init__(self, *there: Snapshot) -> None:
        self.there = there

    def snapshots(self) -> tuple[Snapshot, ...]:
        return self.there


def refused(wanted: str, *there: Snapshot) -> list[tuple[str, str, str | None]]:
    """Say what a launch refuses: which image, why, and what to do."""
    plan = replace(PLAN, image=wanted)
    meant = baked.read(wanted)
    found = named(image.every(Account_(*there)), meant) if meant else ()
    actions = diff(plan, DOCUMENTS, Observed(NOW).having(IMAGES, found))
    return [(one.name, one.why, one.hint) for one in actions if one.kind is IMAGE]


OTHERWISE = "`gen bake` makes one; with `image: debian-13-x64` nodes boot without"
PANEL = "https://cloud.digitalocean.com/images/snapshots/droplets"
CASES: dict[str, tuple[str, tuple[Snapshot, ...], str, str]] = {
    "missing": (NAME, (), "no snapshot of the account has this name", OTHERWISE),
    "another number": (f"{NAME}@8", (ONE,), "no snapshot of the account has this name and this number", OTHERWISE),
    "another name of that number": (
        f"{NAME}@7",
        (replace(ONE, name="hardway-k8s-1.36-ffffffffffff"),),
        "no snapshot of the account has this name and this number",
        OTHERWISE,
    ),
    "two": (
        NAME,
        (OTHER, ONE),
        "2 snapshots have this name",
        f"name one of them with its number (`{NAME}@7`, `{NAME}@9`), or delete the others: {PANEL}",
    ),
    "elsewhere": (
        NAME,
        (replace(ONE, regions=("nyc3",)),),
        "is in nyc3, not in fra1",
        f"transfer it ({PANEL}, More), or: {OTHERWISE}",
    ),
    "in the making": (NAME, (replace(ONE, is_ready=False),), "is not whole yet", "launch again in some minutes"),
    "too large": (
        NAME,
        (replace(ONE, min_disk=160),),
        "needs a disk of 160 GiB, `s-2vcpu-4gb` has 80",
        f"{OTHERWISE}, or choose a larger size",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_not_sure_is_refused(name: str) -> None:
    wanted, there, why, hint = CASES[name]
    assert refused(wanted, *there) == [(wanted, why, hint)]


@pytest.mark.parametrize(
    ("wanted", "there"), [(NAME, (ONE,)), (f"{NAME}@9", (ONE, OTHER)), ("debian-13-x64", (ONE, OTHER))]
)
def test_what_is_sure_is_taken_by_its_number(wanted: str, there: tuple[Snapshot, ...]) -> None:
    assert refused(wanted, *there) == []
    meant = baked.read(wanted)
    seen = Observed(NOW).having(IMAGES, named(there, meant) if meant else ())
    order = IMAGE.order(PLAN.nodes[0], cast("Work", None), seen)
    assert order == ({"image": there[-1].id} if meant else {})


def test_nothing_is_asked_where_no_snapshot_is_named() -> None:
    lookup: Any = type("Lookup", (), {"plan": PLAN, "cloud": None})
    assert IMAGE.look(lookup) == ()


def test_who_prunes_keeps_what_is_named_and_what_is_no_baked_image() -> None:
    there = image.every(Account_(OTHER, ONE, replace(ONE, id=1, name="mine"), replace(ONE, id=2, name=f"{NAME}@9")))
    assert there == (ONE, OTHER)
    meant = baked.read(f"{NAME}@9")
    assert meant is not None
    assert surplus(there, [meant]) == (ONE,)
    assert surplus(there, [meant.at(None)]) == ()
    assert surplus(there, []) == there


def test_the_providers_images_are_not_asked_for_a_snapshot() -> None:
    plan = replace(PLAN, image=NAME)
    offered = Availability(Account(10, "active"), 0, [Size("s-2vcpu-4gb", ("fra1",), True, 24)], (plan.region,))
    actions = diff(plan, DOCUMENTS, Observed(NOW).having(IMAGES, (ONE,)))
    assert faults(plan, actions, offered) == []
