"""`gen kubeconfig`: writes a kubeconfig for a running cluster."""

from __future__ import annotations

from pathlib import Path

import click

from generator.cli.options import Factory, connect, file_option, lab_option, operator_credentials, say
from generator.errors import Problem
from generator.plan.project import Project


@click.command()
@file_option
@lab_option
@click.pass_obj
def kubeconfig(factory: Factory | None, *, file: Path, lab: bool) -> None:
    """Write a kubeconfig for a running cluster, and print its path."""
    from generator.clock import Clock
    from generator.cluster.kinds.droplet import listed
    from generator.cluster.kube_api import Kube
    from generator.cluster.outputs import write_kubeconfig
    from generator.pki.store import KeyStore
    from generator.provider.digitalocean import Cloud

    project = Project.load(file)
    connection = connect(factory, lab=lab)
    plan = project.plan
    store = KeyStore.open(project.keys_path, plan, project.inventory, now=Clock().now())
    tags = {plan.node_tag(node) for node in plan.control_planes}
    droplets = [one for one in listed(Cloud(connection), plan.cluster_tag) if tags & set(one.tags)]
    addresses = [one.public for one in droplets if one.public]
    if not addresses:
        raise Problem("has no control-plane droplet with an address", where=plan.name, hint="`gen launch`")
    asking = operator_credentials(project)
    answering = (one for one in addresses if Kube(one, asking, connection.proxy).ready())
    address = next(answering, None)
    if address is None:
        say("warning: no API server answers now; the file names the first droplet")
    click.echo(write_kubeconfig(plan, store, project.keys_path, connection, address or addresses[0]))
