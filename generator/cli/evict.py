"""`gen evict`: gives a worker that is not trusted any more new keys, to be committed and rolled out."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from generator.cli.options import file_option, say
from generator.cli.session import ask, known_nodes, yes_option
from generator.documents import committed
from generator.documents import render as rendering
from generator.errors import Problem
from generator.pki import eviction
from generator.plan.project import Project


@click.command()
@click.argument("node")
@file_option
@yes_option
def evict(*, node: str, file: Path, yes: bool) -> None:
    """Make new keys for a worker, as after a theft; its old ones are removed here.

    What it writes is committed; then `gen replace` recreates the node, and its old keys open nothing any more: the
    mesh does not know them, and nobody else reaches the API. Can be interrupted and run again.
    """
    project = Project.load(file)
    known_nodes(project.plan, [node])
    if project.plan.node(node).is_control_plane:
        message = "is a control-plane node: it holds keys that all of them share, and those have to be rotated first"
        hint = (
            "a rotation of the cluster's own keys is not there yet; `gen replace` recreates the node with the same ones"
        )
        raise Problem(message, where=node, hint=hint)
    ends = max((fact.expires for fact in eviction.rows(project.inventory, node) if fact.expires), default="")
    ask(
        yes=yes,
        question=f"Make new keys for {node}, and remove its old ones?",
        undone="not evicted; nothing was changed",
    )
    project = eviction.without(project, node)
    project = rendering.refresh(project, now=datetime.now(UTC))
    changes = committed.write(project, rendering.documents(project))
    for path in changes.written:
        say(f"wrote {project.rendered_path / path}")
    say(f"{node} has new keys; until its droplet is gone it has the old ones, and a certificate that ends at {ends}")
    say(f"next: commit, then `gen replace {node}`, at once where it was stolen")
