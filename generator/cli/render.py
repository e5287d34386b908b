"""Holds the commands that need no account: init, check, plan, render and lock."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from generator.description import tutorial
from generator.description.load import load as load_description
from generator.documents import render as rendering
from generator.documents import summary
from generator.errors import Problem, Problems
from generator.files import write_atomic
from generator.plan import cost
from generator.plan.decide import Plan
from generator.plan.project import DESCRIPTION, Project
from generator.release import lock_file

RELEASE = "k8s-1.36"
# More files than this are counted, not listed.
LISTED = 12

file_option = click.option(
    "-f",
    "--file",
    type=click.Path(path_type=Path),
    default=DESCRIPTION,
    show_default=True,
    help="The description; keys/ and rendered/ lie beside it.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.command()
@click.argument("name", default="orderbook")
@click.option("--release", default=RELEASE, show_default=True, help="The lock file to build from.")
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="Where to write; the current directory unless given.",
)
def init(name: str, release: str, directory: Path) -> None:
    """Write the tutorial's cluster.yaml, and keep keys/ out of version control.

    NAME is the cluster's name. Nothing that is there is overwritten.
    """
    for path in tutorial.init(directory, name, release):
        _say(f"wrote {path}")
    _say("next: put your own address into `access.api`, then `gen check` and `gen render`")


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
        _print({"problems": [_problem(problem) for problem in problems], "notes": []})
        return 1
    notes = summary.caveats(project.plan)
    if as_json:
        _print({"problems": [], "notes": notes})
        return 0
    for note in notes:
        _say(f"note: {note}")
    _say(f"{file}: no mistakes")
    return 0


@click.command()
@file_option
@json_option
def plan(file: Path, *, as_json: bool) -> None:
    """Show what is decided: every node, its addresses, certificates, and the cost of a month."""
    decided = Project.load(file).plan
    if as_json:
        _print(_plan(decided))
        return
    total, complete = cost.monthly(decided)
    head = ("NODE", "NUMBER", "ROLE", "ADDRESS", "PODS", "SIZE")
    rows = [(node.name, node.number, node.role, node.address, node.pod_cidr, node.size) for node in decided.nodes]
    click.echo(f"{decided.name}: Kubernetes {decided.release.kubernetes} in {decided.region}\n")
    click.echo(_columns([head, *rows]))
    click.echo(f"API {decided.kubernetes_service_ip}, DNS {decided.dns_ip}, addons {', '.join(decided.addons)}")
    click.echo(f"{len(decided.certificates)} certificates, {'' if complete else 'more than '}${total} a month")


@click.command()
@file_option
@click.option("--check", "only_check", is_flag=True, help="Write nothing; exit 1 with a diff when something differs.")
def render(file: Path, *, only_check: bool) -> int:
    """Make missing keys and write all documents below rendered/NAME/.

    With --check neither the keys nor the clock are used, so that it runs where only the committed files are.
    """
    project = Project.load(file)
    if only_check:
        return _compare(project)
    is_first = not project.keys_path.exists()
    project = rendering.refresh(project, now=datetime.now(UTC))
    changes = rendering.write(project.rendered_path, rendering.documents(project))
    for done, paths in (("wrote", changes.written), ("removed", changes.removed)):
        if len(paths) > LISTED:
            _say(f"{done} {len(paths)} files below {project.rendered_path}")
        else:
            for path in paths:
                _say(f"{done} {project.rendered_path / path}")
    if not changes.written and not changes.removed:
        _say(f"{project.rendered_path}: nothing changed")
    else:
        _say(f"next: read {project.rendered_path / 'summary.md'}, commit, then `gen launch`")
    if is_first:
        _say(f"warning: {project.keys_path} was made; who loses it loses the cluster")
        _say(f"  hint: back it up now, how is in {project.keys_path.parent / 'README.md'}")
    if project.release.unpinned:
        images = ", ".join(f"`{image.name}`" for image in project.release.unpinned)
        _say(f"warning: release `{project.release.name}` has images without digest: {images}")
        _say(f"  hint: a launch in the cloud refuses them; {lock_file.PINNING}")
    return 0


@click.group()
def lock() -> None:
    """Complete the lock of a release."""


@lock.command("pin")
@click.option(
    "-f",
    "--file",
    type=click.Path(path_type=Path),
    default=DESCRIPTION,
    show_default=True,
    help="The description, whose release it is; the lock is written to releases/ beside it.",
)
@click.option("--release", "name", help="Another release than the description's.")
def pin_images(file: Path, name: str | None) -> None:
    """Ask the registries for the digests of images that have none, and write them into a lock of your own.

    An image keeps a digest that it has. Nothing is written unless all can be had.
    """
    # the one command of these that asks the network; the others need not wait for its client
    from generator.release import pin, registry

    release = lock_file.load(name or load_description(file).release, file.parent)
    if not release.unpinned:
        _say(f"release `{release.name}`: every image has its digest")
        return
    pinned = pin.pin(release, registry.pool())
    for image in release.unpinned:
        _say(f"{pinned.image(image.name).pinned}")
    path = file.parent / "releases" / f"{release.name}.yaml"
    path.parent.mkdir(exist_ok=True)
    write_atomic(path, lock_file.dump(pinned).encode())
    _say(f"wrote {path}, which now stands for `{release.name}`")
    _say("next: `gen render`, read what changed, and commit both")


def _compare(project: Project) -> int:
    difference = rendering.difference(project.rendered_path, rendering.documents(project))
    if not difference:
        _say(f"{project.rendered_path}: as it would be rendered")
        return 0
    click.echo(difference, nl=False)
    hint = "run `gen render`, and commit what it writes"
    raise Problem("what is committed is not what would be rendered", where=str(project.rendered_path), hint=hint)


def _say(text: str) -> None:
    click.echo(text, err=True)


def _print(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, default=str))


def _problem(problem: Problem) -> dict[str, str | None]:
    return {"where": problem.where, "message": problem.message, "hint": problem.hint}


def _plan(decided: Plan) -> dict[str, Any]:
    total, complete = cost.monthly(decided)
    nodes = [
        {
            "name": node.name,
            "number": node.number,
            "pool": node.pool,
            "role": node.role,
            "schedulable": node.schedulable,
            "size": node.size,
            "address": node.address,
            "pod_cidr": node.pod_cidr,
        }
        for node in decided.nodes
    ]
    certificates = [
        {"path": row.path, "subject": row.subject, "names": row.sans, "signer": row.signer, "node": row.node}
        for row in decided.certificates
    ]
    return {
        "name": decided.name,
        "cluster_id": decided.cluster_id or None,
        "region": decided.region,
        "kubernetes": decided.release.kubernetes,
        "release": decided.release.name,
        "api": decided.kubernetes_service_ip,
        "dns": decided.dns_ip,
        "addons": decided.addons,
        "nodes": nodes,
        "certificates": certificates,
        "monthly_dollars": total,
        "monthly_is_complete": complete,
    }


def _columns(rows: Sequence[Iterable[object]]) -> str:
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells)
    return "".join(f"{line}\n" for line in lines)
