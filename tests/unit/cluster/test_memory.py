from __future__ import annotations

from datetime import timedelta

from generator.cluster.memory import LIST_LAG, READ_LAG, UNLISTED, Memory
from generator.provider.resources import Droplet
from generator.provider.spaces import Stored
from tests.keyring import NOW

SECOND = timedelta(seconds=1)


def droplet(number: int, status: str = "active") -> Droplet:
    return Droplet(number, f"node{number:02}", status, "fra1", "s-2vcpu-4gb", ("hardway:c",), NOW)


def gone(number: int) -> None:
    return None


def unasked(number: int) -> None:
    raise AssertionError(f"{number} was read")


def test_a_droplet_just_made_is_there_before_any_list_shows_it() -> None:
    memory = Memory(made={1: droplet(1, "new")})
    assert memory.merge((), NOW + SECOND, unasked) == (droplet(1, "new"),), "lists lag for some seconds"
    assert memory.merge((), NOW + UNLISTED, gone) == (droplet(1, "new"),)
    assert memory.merge((), NOW + UNLISTED, droplet) == (droplet(1),)
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


def stored(key: str, tag: str) -> Stored:
    return Stored(key, 7, NOW, tag)


def test_what_is_listed_as_before_is_read_once() -> None:
    memory, reads = Memory(), []

    def read() -> int:
        reads.append(1)
        return len(reads)

    assert [memory.once(stored("a", "1"), read) for _ in range(3)] == [1, 1, 1]
    assert memory.once(stored("b", "1"), read) == 2
    assert memory.once(stored("a", "2"), read) == 3, "it has another content"
    assert memory.once(stored("a", "1"), read) == 4, "nothing of what it was before is kept"
    assert [memory.once(stored("c", ""), read) for _ in range(2)] == [5, 6], "the store does not tell contents apart"
    memory.forget([stored("b", "1")])
    assert (memory.once(stored("b", "1"), read), memory.once(stored("a", "1"), read)) == (2, 7)
