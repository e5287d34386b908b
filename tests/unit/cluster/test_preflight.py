from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from generator.cluster.kinds.droplet import DROPLET
from generator.cluster.kinds.kind import Action
from generator.cluster.kinds.volume import VOLUME
from generator.cluster.kinds.vpc import VPC
from generator.cluster.observed import VOLUMES, Observed
from generator.cluster.preflight import Availability, faults, monthly, skewed, warnings
from generator.provider.resources import Account, Size, Volume
from tests.keyring import NOW, planned

PLAN = planned(workers=0)
SIZE = Size("s-2vcpu-4gb", ("fra1", "nyc3"), True, 24.0)
OFFERED = Availability(Account(10, "active"), 0, (SIZE,), ("fra1",))
MADE = ": 3 droplets are to be made, the account has room"
CREATE = tuple(Action("create", DROPLET, node.name) for node in PLAN.nodes)


def messages(offered: Availability, actions: tuple[Action, ...] = CREATE) -> list[str]:
    return [f"{problem.where or ''}: {problem.message}" for problem in faults(PLAN, actions, offered)]


def test_an_account_that_has_everything_is_fine() -> None:
    assert messages(OFFERED) == []
    assert monthly(PLAN, OFFERED.sizes) == 72


@pytest.mark.parametrize(
    ("offered", "message"),
    [
        (
            replace(OFFERED, droplets=8),
            f"{MADE} for 2: its limit is 10, 8 are there",
        ),
        (
            replace(OFFERED, droplets=12),
            f"{MADE} for 0: its limit is 10, 12 are there",
        ),
        (replace(OFFERED, account=Account(10, "locked")), ": the account's status is `locked`"),
        (
            replace(OFFERED, account=Account(10, "locked", "Open a ticket.")),
            ": the account's status is `locked`: Open a ticket",
        ),
        (replace(OFFERED, sizes=()), "size: `s-2vcpu-4gb` does not exist"),
        (
            replace(OFFERED, sizes=(replace(SIZE, regions=("nyc3",)),)),
            "size: `s-2vcpu-4gb` can't be had in region `fra1` now",
        ),
        (
            replace(OFFERED, sizes=(replace(SIZE, available=False),)),
            "size: `s-2vcpu-4gb` can't be had in region `fra1` now",
        ),
        (replace(OFFERED, image_regions=None), "image: `debian-13-x64` does not exist"),
        (replace(OFFERED, image_regions=("nyc3",)), "image: `debian-13-x64` is not in region `fra1`"),
    ],
)
def test_what_the_provider_would_refuse_is_found(offered: Availability, message: str) -> None:
    assert messages(offered) == [message]


def test_all_is_told_at_once() -> None:
    offered = Availability(Account(1, "locked"), 1, (), None)
    refusal = Action("refuse", VPC, "hardway-orderbook", "belongs to another")
    assert len(messages(offered, (refusal, *CREATE))) == 5


@pytest.mark.parametrize("status", ["warning", "of-tomorrow"])
def test_an_account_that_is_not_locked_launches_and_is_told(status: str) -> None:
    offered = replace(OFFERED, account=Account(10, status, "Please add a payment method."))
    assert messages(offered) == []
    [line] = warnings(offered)
    assert line == f"the account's status is `{status}`: Please add a payment method; droplets can be made all the same"
    assert warnings(OFFERED) == []


def test_the_limit_of_a_new_account_is_three() -> None:
    assert messages(replace(OFFERED, account=Account(3, "active"))) == []
    [problem] = faults(PLAN, CREATE, replace(OFFERED, account=Account(3, "active"), droplets=1))
    assert "gen init --template single" in str(problem.hint)


def test_a_droplet_that_goes_makes_room() -> None:
    full = replace(OFFERED, droplets=10)
    assert messages(full, (Action("delete", DROPLET, "node01"), CREATE[0])) == []


def test_what_is_not_made_is_not_asked_for() -> None:
    assert messages(replace(OFFERED, droplets=10, sizes=(), image_regions=None), ()) == []


def test_a_wrong_clock_is_told() -> None:
    assert skewed(NOW, NOW + timedelta(seconds=60)) == []
    assert "90 s behind" in skewed(NOW, NOW + timedelta(seconds=90))[0].message
    assert "90 s ahead of" in skewed(NOW, NOW - timedelta(seconds=90))[0].message


def test_volumes_that_an_account_has_no_room_for_are_told_before_any_is_made() -> None:
    actions = tuple(Action("create", VOLUME, f"orderbook-node{number:02}-data") for number in range(1, 4))
    there = Volume("id", "orderbook-node04-data", "fra1", 10, "")
    observed = Observed(NOW).having(VOLUMES, (there,))

    def found(limit: int | None) -> list[str]:
        offered = replace(OFFERED, account=replace(OFFERED.account, volume_limit=limit))
        return [problem.message for problem in faults(PLAN, actions, offered, observed)]

    assert (found(4), found(None)) == ([], [])
    assert found(3) == [
        "3 volumes are to be made, the account has room for 2: its limit is 3, the cluster has 1",
    ]
