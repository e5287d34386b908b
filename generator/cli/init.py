"""`gen init`: writes the tutorial's description."""

from __future__ import annotations

from pathlib import Path

import click

from generator.cli.options import say
from generator.description import tutorial

RELEASE = "k8s-1.36"


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
        say(f"wrote {path}")
    say("next: put your own address into `access.api`, then `gen check` and `gen render`")
