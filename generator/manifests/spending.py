"""Counts what the building of a kustomization takes, so that a few lines can't ask for everything there is."""

from __future__ import annotations

from dataclasses import dataclass, field

from generator.errors import Problem
from generator.manifests.rules import LIMIT_OBJECTS

LIMIT_READ_BYTES, LEAST_READ_BYTES = 32 * 1024 * 1024, 4096
"""Of all files that patches and generators name, each time that they do, and of what patches put into objects; and
the least that a file counts for."""
LIMIT_HELD = 200_000
"""How often a patch is held against an object, to see whether it is for that."""


@dataclass
class Spent:
    """What one kustomization has taken so far, with all that it is made of."""

    where: str
    listed: set[str] = field(default_factory=set)
    objects: int = 0
    bytes: int = 0
    held: int = 0

    def take(self, *, objects: int = 0, size: int = 0, held: int = 0) -> None:
        """Count something.

        Raises:
            Problem: it has become too much.
        """
        self.objects, self.bytes, self.held = self.objects + objects, self.bytes + size, self.held + held
        if self.objects > LIMIT_OBJECTS:
            message = f"makes more than {LIMIT_OBJECTS:,} objects, which are not applied as one addon"
            raise Problem(message, where=self.where, hint="divide it")
        if self.bytes > LIMIT_READ_BYTES:
            message = f"takes more than {LIMIT_READ_BYTES:,} bytes for its patches and ConfigMaps"
            raise Problem(message, where=self.where, hint="divide it")
        if self.held > LIMIT_HELD:
            message = f"holds its patches against objects more than {LIMIT_HELD:,} times"
            raise Problem(message, where=self.where, hint="divide it")
