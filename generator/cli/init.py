"""`gen init`: writes a first description."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from generator.cli.options import say
from generator.description import tutorial

RELEASE = "k8s-1.36"


@click.command()
@click.argument("name", default="orderbook")
@click.option("--release", default=RELEASE, show_default=True, help="The lock file to build from.")
@click.option(
    "--template",
    type=click.Choice(tutorial.TEMPLATES),
    default="tutorial",
    show_default=True,
    help="Three nodes, or a single one.",
)
@click.option(
    "--api",
    metavar="ADDRESS",
    multiple=True,
    help="Who may reach the API: an address or network on the internet; asked for unless given.",
)
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="Where to write; the current directory unless given.",
)
def init(name: str, release: str, template: tutorial.Template, api: tuple[str, ...], directory: Path) -> None:
    """Write a first cluster.yaml, and keep keys/ out of version control.

    NAME is the cluster's name. Nothing that is there is overwritten.
    """
    if not api and sys.stdin.isatty():
        question = "Your address on the internet, which may reach the API (nothing: to be written later)"
        answer = click.prompt(question, default="", show_default=False, err=True)
        api = tuple(str(answer).replace(",", " ").split())
    for path in tutorial.init(directory, name, release, api=api, template=template):
        say(f"wrote {path}")
    first = "" if api else "put your own address into `access.api`, then "
    say(f"next: {first}`gen check` and `gen render`")
