"""`gen kubeconfig`: writes a kubeconfig for a running cluster."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import click

from generator.cli.options import Duration, Factory, connect, file_option, lab_option, operator_credentials, say
from generator.errors import Problem
from generator.plan.project import Project


@click.command()
@file_option
@lab_option
@click.option(
    "--lifetime",
    type=Duration(timedelta(minutes=10), timedelta(hours=24)),
    default="24h",
    show_default=True,
    help="How long its token holds, 10m to 24h.",
)
@click.option("--certificate", is_flag=True, help="Put the administrator's certificate into it instead of a token.")
@click.pass_obj
def kubeconfig(factory: Factory | None, *, file: Path, lab: str | None, lifetime: timedelta, certificate: bool) -> None:
    """Write a kubeconfig for a running cluster, and print its path.

    It holds a token that ends by itself; run it again for another one.
    """
    from generator.cluster.access import Access, expiry, serving
    from generator.provider.digitalocean import Cloud

    project = Project.load(file)
    connection = connect(factory, lab=lab)
    plan, keys = project.plan, project.keys_path
    found = serving(plan, Cloud(connection), operator_credentials(project), connection.proxy)
    addresses, server = found.addresses, found.server
    if not addresses:
        raise Problem("has no control-plane droplet with an address", where=plan.name, hint="`gen launch`")
    if certificate:
        say("warning: this file is the administrator for as long as its certificate holds, and can't be withdrawn")
        if server is None:
            say("warning: no API server answers now; the file names the first droplet")
        address = found.door(server.address if server else addresses[0])
        click.echo(Access(plan, keys, address, connection.proxy).certificate())
        return
    if server is None:
        hint = "is this machine's address in `access.api`? `--certificate` works without an answer"
        raise Problem("no API server answers, so there is no token to be had", where=plan.name, hint=hint)
    path = Access(plan, keys, found.door(server.address), connection.proxy).daily(server, lifetime)
    say(f"holds until {expiry(keys)}; `gen kubeconfig` renews it")
    click.echo(path)
