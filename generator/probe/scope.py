"""Names what one run makes, so that whatever ends the run, the account alone tells what is left of it."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_TAG = "hardway-probe"
_BUCKET = r"[a-z0-9][a-z0-9-]{2,62}"
_PLACE = re.compile(rf"(made|used):([a-z0-9]+):({_BUCKET})")


@dataclass(frozen=True)
class Place:
    """A bucket; `is_made` when the run has made it, so that it may be deleted."""

    bucket: str
    region: str
    is_made: bool


@dataclass(frozen=True)
class Scope:
    """One run: everything that it makes has its tag or its name, or lies below its prefix."""

    id: str

    @classmethod
    def new(cls) -> Scope:
        """Draw one that nobody has."""
        return cls(secrets.token_hex(4))

    @property
    def tag(self) -> str:
        """Give the tag that is made before anything else, and goes last."""
        return f"{_TAG}:{self.id}"

    @property
    def name(self) -> str:
        """Give the name of VPC, firewall and keys, and of the bucket where none is named; a volume's begins with it."""
        return f"{_TAG}-{self.id}"

    @property
    def prefix(self) -> str:
        """Say below what its objects lie."""
        return f"{_TAG}/{self.id}/"

    @property
    def limited_bucket(self) -> str:
        """Name the bucket that a key is limited to."""
        return f"{self.name}-limited"

    def has_volume(self, name: str) -> bool:
        """Tell whether a volume of that name is the run's.

        >>> [Scope("0a").has_volume(name) for name in ("hardway-probe-0a-1", "hardway-probe-0ab-1")]
        [True, False]
        """
        return name.startswith(f"{self.name}-")

    @property
    def unknown_tag(self) -> str:
        """Give a tag that is never made."""
        return f"{self.tag}:none"

    def place_tag(self, place: Place) -> str:
        """Give the tag that says where its objects are, made before the bucket is.

        >>> Scope("0a").place_tag(Place("b-1", "fra1", True))
        'hardway-probe:0a:made:fra1:b-1'
        """
        return f"{self.tag}:{'made' if place.is_made else 'used'}:{place.region}:{place.bucket}"

    def places(self, tags: Iterable[str]) -> Iterator[Place]:
        """Read from tags where its objects are."""
        for tag in sorted(tags):
            if tag.startswith(f"{self.tag}:") and (found := _PLACE.fullmatch(tag.removeprefix(f"{self.tag}:"))):
                yield Place(found[3], found[2], found[1] == "made")

    def address_tag(self, address: str) -> str:
        """Give the tag that says that a reserved address is the run's, which itself can have no tag.

        >>> Scope("0a").address_tag("192.0.2.7")
        'hardway-probe:0a:address:192-0-2-7'
        """
        return f"{self.tag}:address:{address.replace('.', '-')}"

    def addresses(self, tags: Iterable[str]) -> Iterator[str]:
        """Read from tags which reserved addresses are its own."""
        start = f"{self.tag}:address:"
        yield from (tag.removeprefix(start).replace("-", ".") for tag in sorted(tags) if tag.startswith(start))


def is_bucket(name: str) -> bool:
    """Tell whether a bucket can have that name, so that a tag can hold it.

    >>> [is_bucket(name) for name in ("orderbook-hardway", "Mine", "a.b.c", "-f", "ab")]
    [True, False, False, False, False]
    """
    return re.fullmatch(_BUCKET, name) is not None


def scopes(tags: Iterable[str]) -> tuple[Scope, ...]:
    """Find runs of which something is left.

    >>> scopes(["hardway-probe:0a", "hardway-probe:0a:used:fra1:b-1", "hardway:orderbook", "hardway-probe:x"])
    (Scope(id='0a'),)
    """
    found = (re.match(rf"{_TAG}:([0-9a-f]+)(:|$)", tag) for tag in tags)
    return tuple(Scope(id) for id in sorted({one[1] for one in found if one}))
