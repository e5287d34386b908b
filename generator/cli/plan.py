"""`gen plan`: shows what is decided."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from generator.cli.options import file_option, json_option, print_json
from generator.cli.table import text_table
from generator.plan import cost
from generator.plan.decide import Plan
from generator.plan.project import Project


@click.command()
@file_option
@json_option
def plan(file: Path, *, as_json: bool) -> None:
    """Show what is decided: every node, its addresses, certificates, and the cost of a month."""
    decided = Project.load(file).plan
    if as_json:
        print_json(_plan(decided))
        return
    total, complete = cost.monthly(decided)
    head = ("NODE", "NUMBER", "ROLE", "ADDRESS", "PODS", "SIZE")
    rows = [(node.name, node.number, node.role, node.address, node.pod_cidr, node.size) for node in decided.nodes]
    click.echo(f"{decided.name}: Kubernetes {decided.release.kubernetes} in {decided.region}\n")
    click.echo(f"{text_table(head, rows)}\n")
    click.echo(f"API {decided.kubernetes_service_ip}, DNS {decided.dns_ip}, addons {', '.join(decided.addons)}")
    click.echo(f"{len(decided.certificates)} certificates, {'' if complete else 'more than '}${total} a month")


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
