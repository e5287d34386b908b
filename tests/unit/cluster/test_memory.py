from __future__ import annotations

from datetime import timedelta

from generator.cluster.memory import LIST_LAG, READ_LAG, Memory
from generator.provider.resources import Droplet
from tests.keyring import NOW

SECOND = timedelta(seconds=1)


def droplet(number: int, status: str = "active") -> Droplet:
    return Droplet(number, f"node{number:02}", status, "fra1", "s-2vcpu-4gb", ("hardway:c",), NOW)


def gone(number: int) -> None:
    return None


def test_a_droplet_just_made_is_there_before_any_list_shows_it() -> None:
    memory = Memory(made={1: droplet(1, "new")})
    assert memory.merge((), NOW + SECOND, gone) == (droplet(1, "new"),)
    assert memory.merge((), NOW + SECOND, droplet) == (droplet(1),)
    assert memory.merge((droplet(1),), NOW + SECOND, gone) == (droplet(1),)
    assert memory.made == {}


def test_a_droplet_that_no_read_ever_finds_is_gone() -> None:
    memory = Memory(made={1: droplet(1)})
    assert memory.merge((), NOW + READ_LAG - SECOND, gone) == (droplet(1),)
    assert memory.merge((), NOW + READ_LAG, gone) == ()
    assert memory.merge((), NOW + READ_LAG, droplet) == ()


def test_a_droplet_that_a_list_forgets_is_looked_for() -> None:
    memory = Memory()
    memory.merge((droplet(1), droplet(2)), NOW, gone)
    assert memory.merge((droplet(2),), NOW, droplet) == (droplet(1), droplet(2))
    assert memory.merge((droplet(2),), NOW, gone) == (droplet(2),)


def test_a_deleted_droplet_is_not_seen_while_lists_lag() -> None:
    memory = Memory(removed={1: NOW})
    memory.shown = {1: droplet(1)}
    assert memory.merge((droplet(1),), NOW + LIST_LAG - SECOND, droplet) == ()
    assert memory.merge((droplet(1),), NOW + LIST_LAG, droplet) == (droplet(1),), "it was not deleted after all"
