"""`gen lab break`: breaks on purpose what pods need, to see what is said of it, and mends it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import click

from generator.cli.options import file_option
from generator.clock import Clock
from generator.errors import Problem
from generator.lab.daemon import control
from generator.lab.machines import breakage
from generator.lab.machines.machine import Machine
from generator.lab.state import State
from generator.pki import issue
from generator.pki.store import KeyStore
from generator.plan.certificates import node_path
from generator.plan.node import Node
from generator.plan.project import Project


@dataclass(frozen=True)
class Place:
    """One node of the cluster, and the machine that it is in the lab."""

    project: Project
    node: Node
    machine: Machine

    @property
    def certificate(self) -> str:
        """Give where the API server's certificate lies in the store."""
        return node_path(self.node.name, "apiserver")

    def store(self) -> KeyStore:
        """Open the private store."""
        return KeyStore.open(self.project.keys_path, self.project.plan, self.project.inventory)

    def nameless(self) -> bytes:
        """Issue the API server's certificate without the address at which pods find it.

        Raises:
            Problem: the authority's key is not here.
        """
        store = self.store()
        row = next(one for one in self.project.plan.certificates if one.path == self.certificate)
        service = self.project.plan.kubernetes_service_ip
        names = replace(row.names, addresses=tuple(one for one in row.names.addresses if one != service))
        authority = str(row.signer)
        if f"{authority}.key" not in store.files:
            where = self.project.keys_path / f"{authority}.key"
            hint = "bring it here from where it is kept, for as long as this takes"
            raise Problem(
                f"is not here, and `{self.certificate}` has to be signed with it", where=str(where), hint=hint
            )
        signer = issue.Issued(
            issue.read_certificate(store.certificate(authority)), issue.read_key(store.key(authority))
        )
        key = issue.read_key(store.key(self.certificate))
        return issue.certificate_pem(issue.issue(replace(row, names=names), key, signer, now=Clock().now()))


BREAKING: Mapping[str, tuple[Callable[[Place], None], Callable[[Place], None]]] = {
    "routes": (
        lambda at: breakage.cut_routes(at.machine, at.project.plan.pod_cidr),
        lambda at: breakage.lay_routes(at.machine),
    ),
    "san": (
        lambda at: breakage.serve(at.machine, at.nameless()),
        lambda at: breakage.serve(at.machine, at.store().certificate(at.certificate)),
    ),
    "mtu": (lambda at: breakage.narrow(at.machine), lambda at: breakage.widen(at.machine)),
    "dns": (
        lambda at: breakage.drop_names(at.machine, at.node.pod_cidr),
        lambda at: breakage.pass_names(at.machine),
    ),
}
"""What can be broken, each with how it is broken and how it is mended."""
NEXT = "gen status --lab --paths"


@click.command("break")
@click.argument("what", type=click.Choice(tuple(BREAKING)))
@click.argument("node", required=False)
@click.option("--mend", is_flag=True, help="Mend it instead.")
@file_option
@click.pass_obj
def break_(state: State, *, what: str, node: str | None, mend: bool, file: Path) -> None:
    """Break what pods need, on NODE or on all nodes: `gen status --paths` then names the cause.

    `routes` forgets the ways to other nodes' pods, `san` takes the Service address out of the API server's certificate
    (which needs the cluster's keys), `mtu` narrows the wire in the VPC, `dns` drops what DNS answers to pods.
    """
    for place in _places(state, Project.load(file), what, node):
        BREAKING[what][mend](place)
        click.echo(f"{what} {'mended' if mend else 'broken'} on {place.node.name}; {NEXT}", err=True)


def _places(state: State, project: Project, what: str, only: str | None) -> Iterator[Place]:
    nodes = project.plan.control_planes if what == "san" else project.plan.nodes
    chosen = [node for node in nodes if only in (None, node.name)]
    if not chosen:
        kind = "control-plane node" if what == "san" else "node"
        names = ", ".join(node.name for node in nodes)
        raise Problem(f"there is no {kind} `{only}`", where=project.plan.name, hint=f"there are {names}")
    there = {entry["name"]: int(entry["id"]) for entry in control.call(state, "list")["droplets"]}
    for node in chosen:
        machine = Machine.load(state, there[node.name]) if node.name in there else None
        if machine is None or not machine.is_running:
            raise Problem("has no machine that runs", where=node.name, hint="gen lab status")
        yield Place(project, node, machine)
