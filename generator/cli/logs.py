"""`gen logs`: reads a node's journal."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import click

from generator.cli.options import (
    Duration,
    Factory,
    connect,
    end_on_signal,
    file_option,
    lab_option,
    operator_credentials,
)
from generator.errors import Problem, raise_all
from generator.plan.project import Project


@click.command()
@click.argument("node")
@click.argument("units", metavar="[UNIT]...", nargs=-1)
@file_option
@lab_option
@click.option("-n", "--lines", type=click.IntRange(1, 100_000), default=100, show_default=True, help="The last lines.")
@click.option(
    "--since",
    type=Duration(timedelta(seconds=1), timedelta(hours=24)),
    help="Only those of the last so many seconds, minutes or hours, as 10m.",
)
@click.option("--follow", is_flag=True, help="Go on as lines come, until interrupted.")
@click.pass_obj
def logs(
    factory: Factory | None,
    *,
    node: str,
    units: tuple[str, ...],
    file: Path,
    lab: str | None,
    lines: int,
    since: timedelta | None,
    follow: bool,
) -> None:
    """Print what a node's units have logged since it booted, through the API.

    Without UNIT those of the document: etcd, kubelet, hardway-mesh and the like. Times are UTC.
    """
    from generator.clock import Clock
    from generator.cluster.access import serving
    from generator.cluster.journal import UNIT, Journal
    from generator.documents import user_data
    from generator.provider.digitalocean import Cloud

    end_on_signal()
    project = Project.load(file)
    plan = project.plan
    known = [one.name for one in plan.nodes]
    if node not in known:
        raise Problem("no such node", where=node, hint=f"the nodes are {', '.join(known)}")
    own = user_data.units(plan, plan.node(node))
    raise_all(
        Problem("can't be a unit's name", where=unit, hint=f"those of the document are {', '.join(own)}")
        for unit in units
        if not UNIT.fullmatch(unit)
    )
    connection = connect(factory, lab=lab)
    server = serving(plan, Cloud(connection), operator_credentials(project), connection.proxy).server
    if server is None:
        hint = "is this machine's address in `access.api`? before it is up, `gen launch` shows what fails"
        raise Problem("no API server answers, and it is the only way to a node", where=plan.name, hint=hint)
    journal, clock = Journal(server, node, units or own), Clock()
    if follow:
        journal.follow(lines=lines, clock=clock, show=click.echo)
    found = journal.read(lines=lines, since=clock.now() - since if since else None)
    for line in found:
        click.echo(line)
    if not found:
        raise Problem("nothing was logged", where=node, hint=f"units of the document are {', '.join(own)}")
