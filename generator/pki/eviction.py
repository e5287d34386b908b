"""Takes a node's keys out of the private store and out of the inventory, so that the next render makes new ones."""

from __future__ import annotations

from dataclasses import replace

from generator.pki import private_directory, vouching
from generator.pki.store import operator_key
from generator.plan.inventory import Inventory, KeyFact
from generator.plan.project import Project


def rows(inventory: Inventory | None, node: str) -> tuple[KeyFact, ...]:
    """List what the inventory knows of a node's own keys."""
    return tuple(one for one in inventory.keys if one.path.startswith(f"nodes/{node}/")) if inventory else ()


def without(project: Project, node: str) -> Project:
    """Remove a node's keys, and give the project with an inventory that knows none of them.

    Whoever is killed between this and the writing of the inventory runs it again: rows without keys are dropped too.

    Raises:
        Problem: the operator's key is not here, another run is at the store, or nothing was rendered yet.
    """
    known = project.inventory or Inventory("", project.spec.name)
    own = {one.path for one in rows(known, node)}
    bundles = {name: digest for name, digest in known.bundles.items() if name != node}
    rest = replace(known, keys=tuple(one for one in known.keys if one.path not in own), bundles=bundles)
    signed = vouching.signed(rest, operator_key(project.keys_path))
    with private_directory.held(project.keys_path):
        directory = project.keys_path / "nodes" / node
        for path in sorted(directory.iterdir()) if directory.is_dir() and not directory.is_symlink() else ():
            path.unlink()
        private_directory.settle(project.keys_path)
    return replace(project, inventory=signed)
