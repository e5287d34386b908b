"""Reads what is believed of the provider: one row a belief, with its source and the lab's file that embodies it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, TypeAdapter

from generator import strict_yaml
from generator.errors import Problem

FILE = Path(__file__).with_name("beliefs.yaml")

Phase = Literal["node", "api", "volumes", "addresses", "spaces", "keys", "two"]
PHASES: tuple[Phase, ...] = ("node", "api", "volumes", "addresses", "spaces", "keys", "two")
Expectation = Literal["is", "matches", "at_least", "at_most", "has", "lacks", "one_of"]
_Text = Annotated[str, Field(min_length=1)]


@dataclass(frozen=True)
class Lab:
    """Where the lab embodies a belief; `limit` is why it can't say itself whether that is so."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    file: _Text
    switch: _Text
    limit: str = ""


@dataclass(frozen=True)
class Code:
    """What of this program rests on a belief: a file, and a name in it."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    file: _Text
    name: _Text


@dataclass(frozen=True)
class Belief:
    """One thing believed of the provider.

    `fact` leads to the answer; `expect` has one entry, which says how that is compared. Without `code` it is the lab
    alone that rests on it, or the image as a whole.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    id: _Text
    belief: _Text
    source: _Text
    phase: Phase
    fact: Annotated[str, Field(pattern=r"^[a-z_]+(\.[a-z_0-9]+)+$")]
    expect: Annotated[Mapping[Expectation, Any], Field(min_length=1, max_length=1)]
    lab: Lab
    code: Code | None = None

    @property
    def expected(self) -> str:
        """Write what is expected."""
        ((how, value),) = self.expect.items()
        return f"{_WORDS[how]}{written(value)}"


_WORDS: Mapping[str, str] = {
    "is": "",
    "matches": "like ",
    "at_least": "at least ",
    "at_most": "at most ",
    "has": "",
    "lacks": "none of ",
    "one_of": "one of ",
}


@cache
def load() -> tuple[Belief, ...]:
    """Read all beliefs, in the order of the file.

    Raises:
        Problem: the file can't be read or names a belief twice.
        pydantic.ValidationError: a row is none.
    """
    document = strict_yaml.load(FILE, base=FILE.parent)
    found = TypeAdapter(tuple[Belief, ...]).validate_python(document.value)
    for number, belief in enumerate(found):
        if belief.id in (other.id for other in found[:number]):
            raise Problem(f"`{belief.id}` is there twice", where=document.where((number,)))
    return found


def written(value: Any) -> str:
    """Write a value as a person reads it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    return ", ".join(map(written, value)) if isinstance(value, list | tuple) else str(value)
