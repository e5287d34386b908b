"""`gen check`: reports every mistake in a description."""

from __future__ import annotations

from pathlib import Path

import click

from generator.cli.options import file_option, json_option, print_json, say
from generator.documents import render as rendering
from generator.documents import summary
from generator.errors import Problem, Problems
from generator.plan.project import Project


@click.command()
@file_option
@json_option
def check(file: Path, *, as_json: bool) -> int:
    """Report every mistake in a description, and what the cluster will not protect.

    Reads the description, the lock it names and what is committed; asks nobody and changes nothing.
    """
    try:
        project = Project.load(file)
        rendering.rehearse(project)
    except (Problem, Problems) as error:
        if not as_json:
            raise
        problems = error.problems if isinstance(error, Problems) else (error,)
        print_json({"problems": [_problem(problem) for problem in problems], "notes": []})
        return 1
    notes = summary.caveats(project.plan)
    if as_json:
        print_json({"problems": [], "notes": notes})
        return 0
    for note in notes:
        say(f"note: {note}")
    say(f"{file}: no mistakes")
    return 0


def _problem(problem: Problem) -> dict[str, str | None]:
    return {"where": problem.where, "message": problem.message, "hint": problem.hint}
