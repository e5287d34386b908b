"""Makes a certificate anew with which an addon serves: the row goes, then the files, then both are made again."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from generator import worktree
from generator.documents import committed
from generator.documents import render as rendering
from generator.documents.committed import Changes
from generator.errors import Problem, raise_all
from generator.pki.retirement import retiring
from generator.plan import inventory
from generator.plan.project import INVENTORY, Project


def rotate(project: Project, path: str, *, now: datetime) -> tuple[Project, Changes]:
    """Make a certificate anew, with its key, and write all documents; give the project as it is then.

    A run that was cut off leaves a store that lacks nothing the inventory tells of, so `gen render` goes on with it.

    Raises:
        Problem: the authority's key is not here.
        Problems: the store is not what the inventory tells of.
    """
    known = project.inventory
    if known is None:
        raise Problem("nothing was rendered yet", where=str(project.rendered_path), hint="run `gen render`")
    raise_all(rendering.unsigned(project))
    rest = replace(known, keys=tuple(fact for fact in known.keys if fact.path != path))
    with retiring(project.keys_path, project.plan, rest, path, now=now):
        worktree.write(project.directory, f"{project.rendered}/{INVENTORY}", inventory.dump(rest).encode())
    made = rendering.refresh(replace(project, inventory=rest), now=now)
    return made, committed.write(made, rendering.documents(made))
