"""`gen check`: reports every mistake in a description."""

from __future__ import annotations

from pathlib import Path

import click

from generator.cli.options import (
    file_option,
    json_option,
    min_days_option,
    print_json,
    say,
    say_what_ends,
    say_who_debugs,
    today,
)
from generator.clock import Clock
from generator.documents import render as rendering
from generator.documents import summary
from generator.errors import Problem, Problems, raise_all
from generator.pki import served
from generator.plan import baking
from generator.plan.project import INVENTORY, Project


@click.command()
@file_option
@min_days_option
@json_option
def check(file: Path, *, min_days: int | None, as_json: bool) -> int:
    """Report every mistake in a description, and what the cluster will not protect.

    Reads the description, the lock it names and what is committed, and where keys are, a certificate of yours; asks
    nobody and changes nothing.
    """
    try:
        project = Project.load(file, today=today())
        rendering.rehearse(project)
        raise_all(baking.faults(project.plan, project.release))
        if project.keys_path.exists():
            raise_all(served.mistakes(project.keys_path, project.plan, now=Clock().now()))
    except (Problem, Problems) as error:
        if not as_json:
            raise
        problems = error.problems if isinstance(error, Problems) else (error,)
        print_json({"problems": [_problem(problem) for problem in problems], "notes": []})
        return 1
    notes = summary.caveats(project.plan)
    short = say_what_ends(project, min_days)
    if as_json:
        found = [_problem(Problem(short, where=str(project.rendered_path / INVENTORY)))] if short else []
        print_json({"problems": found, "notes": notes})
        return 1 if short else 0
    say_who_debugs(project)
    for note in notes:
        say(f"note: {note}")
    say(f"{file}: no mistakes")
    return 1 if short else 0


def _problem(problem: Problem) -> dict[str, str | None]:
    return {"where": problem.where, "message": problem.message, "hint": problem.hint}
