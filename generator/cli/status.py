"""`gen status`: shows how the nodes are and what a launch would do."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from generator.cli.options import (
    Factory,
    connect,
    file_option,
    json_option,
    lab_option,
    operator_credentials,
    print_json,
    say,
)
from generator.cli.table import text_table
from generator.plan.project import Project

if TYPE_CHECKING:
    from generator.cluster.status import ClusterStatus


@click.command()
@file_option
@lab_option
@json_option
@click.pass_obj
def status(factory: Factory | None, *, file: Path, lab: bool, as_json: bool) -> int:
    """Show how the nodes are, the next expiry, and what a launch would do.

    Exits 1 when a node is not ready, the addons are not applied, or something is to be done.
    """
    from generator.clock import Clock
    from generator.cluster.diff import diff
    from generator.cluster.launchable import digests
    from generator.cluster.observer import Observer
    from generator.cluster.status import assess, warnings
    from generator.provider.digitalocean import Cloud
    from generator.provider.spaces import Spaces

    project = Project.load(file)
    connection = connect(factory, lab=lab)
    plan, clock = project.plan, Clock()
    documents = digests(project)
    spaces = Spaces(connection, bucket=plan.spaces_bucket, region=plan.spaces_region)
    observer = Observer(plan, Cloud(connection, clock), spaces, clock, operator_credentials(project), connection.proxy)
    observed = observer.look()
    actions = diff(plan, documents, observed)
    seen = assess(plan, project.inventory, documents.addons, observed, actions, observer.address)
    if as_json:
        print_json({**asdict(seen), "whole": seen.whole})
    else:
        click.echo(_text(seen))
        for warning in warnings(plan, observed, seen):
            say(f"warning: {warning}")
    return 0 if seen.whole else 1


def _text(status: ClusterStatus) -> str:
    rows = [
        (one.node, one.droplet or "-", one.public or "-", one.private or "-", one.kubernetes, one.phase)
        for one in status.nodes
    ]
    addons = "applied" if status.addons else "not applied" if status.api else "unknown"
    lines = [
        text_table(("NODE", "DROPLET", "PUBLIC", "VPC", "KUBERNETES", "PHASE"), rows),
        f"API {status.api or 'does not answer'}, addons {addons}",
        f"roster {status.roster_generation or 'none'}, etcd {status.etcd or 'none'}",
    ]
    if status.expiry:
        lines.append(f"next expiry {status.expiry[0]}, {status.expiry[1]}")
    lines += [f"note: {line}" for line in status.notes]
    return "\n".join([*lines, *(f"launch would {line}" for line in status.pending)])
