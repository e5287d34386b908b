"""`gen diff`: shows what a change does to the cluster, for the eye, a pull request or a script; changes nothing."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from generator.cli.options import Factory, connect, file_option, json_option, lab_option, print_json, say
from generator.cli.session import observing
from generator.plan.project import Project

if TYPE_CHECKING:
    from generator.changes.compare import Difference
    from generator.changes.tree import Snapshot

CLOUD = "cloud"


@click.command()
@file_option
@click.option(
    "--against",
    metavar="REF|cloud",
    help="A commit, or `cloud` for what lives; else where this branch left the default one.",
)
@click.option("--markdown", "as_markdown", is_flag=True, help="Print a comment for a pull request.")
@json_option
@lab_option
@click.pass_obj
def diff(
    factory: Factory | None, *, file: Path, against: str | None, as_markdown: bool, as_json: bool, lab: str | None
) -> int:
    """Show who is recreated and why, what is only applied, the order, the cost, and what would be lost.

    Compares what would be rendered with a commit, which is not checked out, and needs no secret; with `--against cloud`
    it compares with what lives. Exits 1 when the change is one that no rollout can carry.
    """
    from generator.changes import tree
    from generator.changes.compare import compare
    from generator.changes.markdown import comment
    from generator.changes.text import text
    from generator.documents import render

    project = Project.load(file)
    after = tree.now(project, render.documents(project))
    if against == CLOUD or (against is None and lab is not None):
        found, told = _with_cloud(factory, after, lab), "what lives"
    else:
        revision = against or tree.base(project.directory)
        with tree.at(project, revision) as before:
            found, told = compare(before, after), revision[:12]
            if before is None:
                say(f"{told} has no {project.file.name}: everything is new")
    if as_json:
        print_json({"version": 1, "against": told, "nothing": found.is_nothing, **asdict(found)})
    elif as_markdown:
        click.echo(comment(found, told), nl=False)
    else:
        say(f"against {told}")
        click.echo(text(found))
    return 1 if found.refused else 0


def _with_cloud(factory: Factory | None, after: Snapshot, lab: str | None) -> Difference:
    from generator.changes.living import compare_with_what_lives
    from generator.cluster.launchable import digests

    project = after.project
    observer = observing(project, connect(factory, lab=lab))
    return compare_with_what_lives(after, digests(project), observer.look())
