"""Names a snapshot of a droplet that holds what a release's lock pins, and reads the name back.

The name is made of what is in it, so that who reads a description knows what boots. Anybody with the account's token
can give any snapshot that name; the number behind the `@` nobody can give to another one.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from generator.release.lock_file import Artifact, Package

LAYOUT = 1
"""Which places a snapshot keeps things in; another number makes another name of everything."""
_NAME = re.compile(
    r"hardway-(?P<release>[a-z0-9][a-z0-9.+-]*)-(?P<digest>[0-9a-f]{12})(@(?P<number>[1-9][0-9]{0,15}))?"
)


@dataclass(frozen=True)
class Baked:
    """Which snapshot a description names; `number` is the account's, None where the name has to do."""

    release: str
    digest: str
    number: int | None = None

    @property
    def name(self) -> str:
        """Give the snapshot's name in the account."""
        return f"hardway-{self.release}-{self.digest}"

    def at(self, number: int | None) -> Baked:
        """Give the same as the account's snapshot of that number."""
        return replace(self, number=number)

    def __str__(self) -> str:
        """Write it as a description does."""
        return self.name if self.number is None else f"{self.name}@{self.number}"


def read(image: str) -> Baked | None:
    """Read what a description names; None where that is a distribution's image.

    >>> read("hardway-k8s-1.36-0123456789ab@7"), read("debian-13-x64")
    (Baked(release='k8s-1.36', digest='0123456789ab', number=7), None)
    """
    found = _NAME.fullmatch(image)
    if found is None:
        return None
    return Baked(found["release"], found["digest"], int(found["number"]) if found["number"] else None)


def named(release: str, base: str, files: Iterable[Artifact | Package], images: Iterable[str]) -> Baked:
    """Name the snapshot of a droplet that was made of an image and holds these files and these images, by digest."""
    pinned = sorted({(file.name, file.sha256) for file in files})
    content = json.dumps([LAYOUT, base, pinned, sorted(set(images))])
    return Baked(release, hashlib.sha256(content.encode()).hexdigest()[:12])
