"""`gen render`: makes missing keys and writes all documents, or compares them with what is committed."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from generator.cli.options import file_option, say, say_who_debugs, today
from generator.documents import committed
from generator.documents import render as rendering
from generator.errors import Problem
from generator.plan import images
from generator.plan.project import Project

# More files than this are counted, not listed.
LISTED = 12


@click.command()
@file_option
@click.option("--check", "only_check", is_flag=True, help="Write nothing; exit 1 with a diff when something differs.")
def render(file: Path, *, only_check: bool) -> int:
    """Make missing keys and write all documents below rendered/NAME/.

    With --check neither the keys nor the clock are used, so that it runs where only the committed files are; that
    `debug.until` has passed is a warning then, and no mistake.
    """
    project = Project.load(file, today=None if only_check else today())
    say_who_debugs(project)
    if only_check:
        return _compare(project)
    is_first = not project.keys_path.exists()
    project = rendering.refresh(project, now=datetime.now(UTC))
    changes = committed.write(project, rendering.documents(project))
    for done, paths in (("wrote", changes.written), ("removed", changes.removed)):
        if len(paths) > LISTED:
            say(f"{done} {len(paths)} files below {project.rendered_path}")
        else:
            for path in paths:
                say(f"{done} {project.rendered_path / path}")
    for path in changes.foreign:
        say(f"warning: {project.rendered_path / path} is not a file of ours, and was left alone")
    if not changes.written and not changes.removed:
        say(f"{project.rendered_path}: nothing changed")
    else:
        say(f"next: read {project.rendered_path / 'summary.md'}, commit, then `gen launch`")
    if is_first:
        say(f"warning: {project.keys_path} was made; who loses it loses the cluster")
        say(f"  hint: back it up now, how is in {project.keys_path.parent / 'README.md'}")
    for problem in images.unpinned(project.spec, project.release):
        say(f"warning: {problem.where}: {problem.message}; a launch in the cloud refuses it")
        say(f"  hint: {problem.hint}")
    return 0


def _compare(project: Project) -> int:
    rendering.verify(project)
    difference = committed.difference(project, rendering.documents(project))
    if not difference:
        say(f"{project.rendered_path}: as it would be rendered")
        return 0
    click.echo(difference, nl=False)
    hint = "run `gen render`, and commit what it writes"
    raise Problem("what is committed is not what would be rendered", where=str(project.rendered_path), hint=hint)
