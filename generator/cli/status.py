"""`gen status`: shows how the nodes are and what a launch would do."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from generator.cli.options import Factory, connect, file_option, json_option, lab_option, operator_credentials, say
from generator.plan.project import Project


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
    from generator.cluster.status import assess, text, warnings
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
    told = assess(plan, project.inventory, documents.addons, observed, actions, observer.address)
    if as_json:
        click.echo(json.dumps({**asdict(told), "whole": told.whole}, indent=2))
    else:
        click.echo(text(told))
        for warning in warnings(plan, observed, told):
            say(f"warning: {warning}")
    return 0 if told.whole else 1
