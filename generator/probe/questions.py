"""Holds what one run asks, says what it needs for that, and reads what the provider refuses with."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from generator.probe.beliefs import Phase
from generator.provider.retry import Answer

BUSY = ("pending", "already")
DENIED = (401, 403)
"""What the API answers where the token may not."""


class NotAsked(Exception):  # noqa: N818 - nothing is wrong
    """An account can't be asked something; says why."""


@dataclass(frozen=True)
class Questions:
    """What is asked, where, and with what: `ssh_key` names one of the account, `downloads` are addresses."""

    phases: Collection[Phase]
    region: str
    bucket: str | None = None
    ssh_key: str | None = None
    downloads: Sequence[str] = ()

    @property
    def needs_droplets(self) -> bool:
        """Tell whether anything has to be paid for."""
        return bool({"node", "api", "volumes", "addresses", "two"} & set(self.phases))

    @property
    def needs_spaces(self) -> bool:
        """Tell whether anything is put into a bucket."""
        return bool({"node", "volumes", "addresses", "two", "spaces", "keys"} & set(self.phases))


def told(answer: Answer, words: Sequence[str] = BUSY) -> str:
    """Give an answer's status, and which of these words its message has: all of that can be shown to anybody.

    >>> told(Answer(422, {"message": "Volume already has a pending event."}, {})), told(Answer(201, {}, {}))
    ('422 pending already', '201')
    """
    message = str(answer.body.get("message")).lower()
    return " ".join([str(answer.status), *(word for word in words if word in message)])


def check_permitted(answer: Answer, what: str) -> None:
    """See whether the token may do something.

    Raises:
        NotAsked: it may not.
    """
    if answer.status in DENIED:
        raise NotAsked(f"the token may not {what}")
