"""`gen open`: says how people reach what a cluster serves."""

from __future__ import annotations

from pathlib import Path

import click

from generator.cli.options import Factory, connect, file_option, json_option, lab_option, print_json
from generator.errors import Problem
from generator.plan.project import Project


@click.command("open")
@click.argument("what", metavar="order-book", type=click.Choice(["order-book"]))
@file_option
@lab_option
@json_option
@click.pass_obj
def open_(factory: Factory | None, *, what: str, file: Path, lab: str | None, as_json: bool) -> None:
    """Print the order book's URL, the line for /etc/hosts, and a request as a command.

    Asks the account alone where the nodes are; whether they serve is what the command finds out.
    """
    from generator.cluster.access import doors
    from generator.cluster.outputs import order_book, order_book_lines
    from generator.documents.render import AUTHORITY
    from generator.provider.digitalocean import Cloud

    project = Project.load(file)
    plan = project.plan
    if what not in plan.addons:
        raise Problem(f"`{what}` is not in `addons`", where=str(file))
    connection = connect(factory, lab=lab)
    public = doors(plan, Cloud(connection))
    if not public:
        raise Problem("has no droplet with an address that takes pods", where=plan.name, hint="`gen launch`")
    found = order_book(plan, connection, public, project.rendered_path / AUTHORITY)
    if as_json:
        print_json(found)
        return
    for line in order_book_lines(found):
        click.echo(line)
