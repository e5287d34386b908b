"""Lists, makes and deletes droplets, however late the provider's answers are true."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Collection as Several
from datetime import datetime, timedelta

from generator import waiting
from generator.provider import answers
from generator.provider.digitalocean import Cloud, Collection
from generator.provider.resources import Droplet, Json
from generator.provider.retry import REPEATS, Refused

COLLECTION = Collection("droplets", "droplet", answers.droplet)
KEY_LAG = (2, 3, 5, 10, 10, 15, 15)
"""Seconds between tries: a fresh SSH key is not known to droplet creation at once."""
SHOWN_STILL = timedelta(seconds=30)
"""So long lists go on showing what is deleted; what they show later is deleted once more."""
REMOVAL_POLLS, REMOVAL_POLL_SECONDS = 120, 5.0


def listed(cloud: Cloud, tag: str) -> tuple[Droplet, ...]:
    """List the droplets that carry a tag, the oldest first."""
    return tuple(
        sorted((one for one in cloud.list(COLLECTION, tag_name=tag) if tag in one.tags), key=lambda one: one.id)
    )


def read(cloud: Cloud, number: int) -> Droplet | None:
    """Give one droplet; None when it is gone, or so new that reads do not know it yet."""
    return cloud.find(COLLECTION, number, f"droplet {number}")


def make(cloud: Cloud, body: Json, node_tag: str, known: Several[int], since: datetime) -> Droplet:
    """Make a droplet, or find by its node's tag the one that an unclear attempt made.

    Args:
        body: the request; its user data is shown nowhere.
        node_tag: the tag that no other node carries.
        known: droplets with that tag that were there before, and are about to go.
        since: when the first attempt was made at the earliest, by the provider's clock: lists show the dead for a
            while, also those of which nothing is known here.
    """
    where = f"droplet {body['name']}"

    def find() -> Droplet | None:
        there = (one for one in listed(cloud, node_tag) if one.id not in known and one.created >= since)
        return next(there, None)

    def order() -> Droplet:
        return cloud.create(COLLECTION, body, where, find, unique=False)

    return waiting.repeat(order, KEY_LAG, cloud.clock.sleep, while_=lambda error: says(error, "invalid key"))


def erase(cloud: Cloud, droplet: Droplet) -> None:
    """Delete a droplet, if it is still there; it goes some seconds later."""
    where = f"droplet {droplet.name} ({droplet.id})"

    def delete() -> None:
        cloud.delete(COLLECTION, droplet.id, where)

    waiting.repeat(delete, REPEATS, cloud.clock.sleep, while_=lambda error: says(error, "pending"))


def clear(
    cloud: Cloud, tag: str, say: Callable[[str], None], quiet: int, between: Callable[[], None] = lambda: None
) -> bool:
    """Delete all droplets that carry a tag; False when some are still there after ten minutes.

    Args:
        quiet: how many times in a row nothing has to be listed.
        between: done before each look.
    """
    going: dict[int, datetime] = {}
    gone: set[int] = set()
    for _ in range(REMOVAL_POLLS):
        between()
        seen = listed(cloud, tag)
        gone -= {one.id for one in seen}
        for droplet in seen:
            asked = going.get(droplet.id)
            if asked is None:
                say(f"delete droplet {droplet.name} ({droplet.id})")
            elif cloud.clock.now() - asked < SHOWN_STILL:
                continue
            erase(cloud, droplet)
            going[droplet.id] = cloud.clock.now()
        if not seen:
            gone.update(number for number in going.keys() - gone if read(cloud, number) is None)
        if not seen and gone == going.keys():
            quiet -= 1
            if quiet <= 0:
                return True
        cloud.clock.sleep(REMOVAL_POLL_SECONDS)
    return False


def says(error: BaseException, words: str) -> bool:
    """Tell whether the provider refuses for a reason that passes."""
    return isinstance(error, Refused) and error.status == 422 and words in error.said
