"""`gen rotate`: makes a certificate anew with which an addon serves."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from generator.cli.options import file_option, say
from generator.errors import Problem
from generator.plan.project import Project


@click.command()
@click.argument("certificate")
@file_option
def rotate(certificate: str, *, file: Path) -> None:
    """Make a CERTIFICATE anew, with a new key: `order-book` or `metrics-server`.

    `gen launch` brings it to the cluster; no node is replaced for it. Can be interrupted and run again.
    """
    from generator.documents.rotation import rotate as anew

    project = Project.load(file)
    plan = project.plan
    known = [row.path for row in plan.certificates if row.is_rotated]
    if certificate == "order-book" and plan.given is not None:
        hint = f"put its successor into `keys/{plan.name}/{plan.given.certificate}`, then `gen render` and `gen launch`"
        raise Problem("the order book's certificate is yours: nobody here can make another", hint=hint)
    if certificate not in known:
        hint = f"it makes {', '.join(f'`{name}`' for name in known)}" if known else "its addons serve with none"
        raise Problem("is no certificate that this cluster makes anew", where=certificate, hint=hint)
    project, changes = anew(project, certificate, now=datetime.now(UTC))
    for path in changes.written:
        say(f"wrote {project.rendered_path / path}")
    fact = project.inventory.key(certificate) if project.inventory else None
    say(f"`{certificate}` holds until {fact.expires if fact else 'nobody knows'}; next: commit, then `gen launch`")
