"""Finds what belongs to one description: its plan, its keys, and what was rendered from it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path

from generator.description.load import DESCRIPTION
from generator.description.load import load as load_description
from generator.description.schema import ClusterSpec
from generator.errors import Problem, raise_all
from generator.manifests import own as own_addons
from generator.manifests.own import OwnAddon
from generator.plan import decide, images
from generator.plan import inventory as inventories
from generator.plan.decide import Plan
from generator.plan.inventory import Inventory
from generator.release import lock_file
from generator.release.lock_file import Release

INVENTORY = "inventory.yaml"


@dataclass(frozen=True)
class Project:
    """One description and everything beside it; nothing here writes."""

    file: Path
    spec: ClusterSpec
    release: Release
    inventory: Inventory | None
    own: tuple[OwnAddon, ...] = ()

    @classmethod
    def load(cls, file: Path = DESCRIPTION, *, today: date | None = None, with_own: bool = True) -> Project:
        """Read a description, the release it names and the inventory committed for it.

        Args:
            file: the description.
            today: see `description.load`.
            with_own: whether the addons of the user's own are loaded too; without, what is planned lacks them.

        Raises:
            Problem: a file cannot be read, or the inventory is another cluster's.
            Problems: every mistake in the description; or every image that it needs and the release lacks, and every
                mistake in an addon of the user's own.
        """
        spec = load_description(file, today=today)
        release = lock_file.load(spec.release, file.parent)
        raise_all(images.missing(spec, release))
        own = own_addons.load(spec, file.parent, release) if with_own else ()
        return cls(file, spec, release, committed_inventory(file, spec.name), own)

    @property
    def directory(self) -> Path:
        """Give the directory that the user named: below it no link is followed."""
        return self.file.parent

    @property
    def rendered(self) -> str:
        """Give the place of the committed documents below that directory."""
        return _rendered(self.spec.name)

    @property
    def keys_path(self) -> Path:
        """Give the cluster's private store."""
        return self.directory / "keys" / self.spec.name

    @property
    def rendered_path(self) -> Path:
        """Give the directory of the committed documents."""
        return self.directory / self.rendered

    @property
    def known_nodes(self) -> tuple[str, ...]:
        """Name the nodes that are planned, or ever were."""
        ever = self.inventory.numbers if self.inventory else {}
        return tuple(dict.fromkeys([*(node.name for node in self.plan.nodes), *ever]))

    @cached_property
    def plan(self) -> Plan:
        """Decide everything that the committed facts allow."""
        return decide.plan(self.spec, self.release, self.inventory, self.own)


def committed_inventory(file: Path, name: str) -> Inventory | None:
    """Read the inventory that is committed for a cluster beside a description; None when nothing was rendered yet.

    Raises:
        Problem: it is another cluster's.
    """
    path = file.parent / _rendered(name) / INVENTORY
    inventory = inventories.load(path, base=file.parent)
    if inventory is not None and inventory.name != name:
        raise Problem(f"`name` is {inventory.name!r}, not {name!r}", where=str(path))
    return inventory


def _rendered(name: str) -> str:
    return f"rendered/{name}"
