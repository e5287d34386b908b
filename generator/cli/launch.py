"""Holds the commands that need an account: launch, status, kubeconfig and destroy.

The context's object is a function that gives the lab's `Access`; the command line alone knows where it comes from.
"""

from __future__ import annotations

import json
import re
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from generator.errors import Problem, Problems
from generator.plan.project import DESCRIPTION, Project

if TYPE_CHECKING:
    from generator.cluster.kube_api import Credentials
    from generator.provider.connection import Access

SHORTEST_URL, LONGEST_URL = timedelta(minutes=5), timedelta(hours=2)
SPACES_MONTHLY = 5


class Duration(click.ParamType[timedelta]):
    """A time span as `90s`, `30m` or `2h`, within bounds."""

    name = "duration"

    def __init__(self, shortest: timedelta, longest: timedelta) -> None:
        self._shortest, self._longest = shortest, longest

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Read one."""
        if isinstance(value, timedelta):
            return value
        match = re.fullmatch(r"([0-9]{1,6})([smh])", str(value))
        if match is None:
            self.fail(f"'{value}' is no duration, write 90s, 30m or 2h", param, ctx)
        span = int(match[1]) * {"s": timedelta(seconds=1), "m": timedelta(minutes=1), "h": timedelta(hours=1)}[match[2]]
        if not self._shortest <= span <= self._longest:
            self.fail(f"'{value}' is not between {_span(self._shortest)} and {_span(self._longest)}", param, ctx)
        return span


file_option = click.option(
    "-f",
    "--file",
    type=click.Path(path_type=Path),
    default=DESCRIPTION,
    show_default=True,
    help="The description; keys/ and rendered/ lie beside it.",
)
lab_option = click.option("--lab", is_flag=True, help="Use this machine's lab instead of an account.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.command()
@file_option
@lab_option
@click.option("--yes", is_flag=True, help="Do not ask before anything is made.")
@click.option("--dry-run", is_flag=True, help="Print what would be done, and do nothing.")
@json_option
@click.option(
    "--url-lifetime",
    type=Duration(SHORTEST_URL, LONGEST_URL),
    default="2h",
    show_default=True,
    help="How long a node can fetch its secrets and report, 5m to 2h.",
)
@click.option(
    "--timeout",
    type=Duration(timedelta(seconds=10), timedelta(hours=24)),
    default="30m",
    show_default=True,
    help="How long to wait for the cluster.",
)
@click.pass_obj
def launch(
    factory: Callable[[], Access] | None,
    *,
    file: Path,
    lab: bool,
    yes: bool,
    dry_run: bool,
    as_json: bool,
    url_lifetime: timedelta,
    timeout: timedelta,
) -> None:
    """Create what is missing and wait until the cluster serves.

    Can be interrupted and run again: it does what is missing, and changes nothing when nothing is.
    """
    from rich.console import Console

    from generator.clock import Clock
    from generator.cluster import outputs
    from generator.cluster.launch import Launch
    from generator.cluster.phase_table import Watch
    from generator.cluster.preflight import monthly, prepare

    _end_on_signal()
    started = time.monotonic()
    clock = Clock()
    project = Project.load(file)
    access = _access(factory, lab=lab)
    launchable = prepare(project, now=clock.now())
    work = Launch(launchable, access, _credentials(project), clock=clock, lifetime=url_lifetime)
    actions, market = work.rehearse()
    if dry_run:
        click.echo(json.dumps([asdict(one) for one in actions], indent=2) if as_json else "\n".join(map(str, actions)))
        return
    for action in actions:
        click.echo(f"  {action}", err=True)
    if any(action.changes for action in actions):
        price = monthly(launchable.plan, market.sizes)
        click.echo(
            f"  {len(launchable.plan.nodes)} droplets at ${price:.0f} a month, Spaces ${SPACES_MONTHLY}", err=True
        )
        _ask(yes=yes, question="Launch?")
    plan = launchable.plan
    try:
        with Watch(Console(stderr=True)) as watch:
            served = work.run(watch, timeout=timeout)
    except (Problem, Problems, KeyboardInterrupt):
        click.echo(f"what was made stays: `gen launch` goes on, `gen destroy {plan.name}` removes it", err=True)
        raise
    path = outputs.write_kubeconfig(plan, launchable.store, project.keys_path, access, served.address)
    facts = outputs.facts(plan, access, address=served.address, public=served.public, path=path)
    facts |= {"seconds": round(time.monotonic() - started), "api_requests": work.requests}
    click.echo(json.dumps(facts, indent=2) if as_json else outputs.text(facts))


@click.command()
@file_option
@lab_option
@json_option
@click.pass_obj
def status(factory: Callable[[], Access] | None, *, file: Path, lab: bool, as_json: bool) -> int:
    """Show how the nodes are, the next expiry, and what a launch would do.

    Exits 1 when a node is not ready, the addons are not applied, or something is to be done.
    """
    from generator.clock import Clock
    from generator.cluster.diff import Documents, diff
    from generator.cluster.observer import Lookout
    from generator.cluster.status import assess, text, warnings
    from generator.documents import agent, render
    from generator.documents.addons import digest, manifests
    from generator.provider.digitalocean import Cloud
    from generator.provider.spaces import Spaces

    project = Project.load(file)
    access = _access(factory, lab=lab)
    plan, clock = project.plan, Clock()
    files = render.documents(project)
    documents = Documents(
        {node.name: render.document_sha256(files, node.name) for node in plan.nodes},
        digest(manifests(plan)),
        agent.digest(agent.files()),
    )
    spaces = Spaces(access, bucket=plan.spaces_bucket, region=plan.spaces_region)
    lookout = Lookout(plan, Cloud(access, clock), spaces, clock, _credentials(project), access.proxy)
    observed = lookout.look()
    actions = diff(plan, documents, observed)
    told = assess(plan, project.inventory, documents.addons, observed, actions, lookout.address)
    if as_json:
        click.echo(json.dumps({**asdict(told), "whole": told.whole}, indent=2))
    else:
        click.echo(text(told))
        for warning in warnings(plan, observed, told):
            click.echo(f"warning: {warning}", err=True)
    return 0 if told.whole else 1


@click.command()
@file_option
@lab_option
@click.pass_obj
def kubeconfig(factory: Callable[[], Access] | None, *, file: Path, lab: bool) -> None:
    """Write a kubeconfig for a running cluster, and print its path."""
    from generator.clock import Clock
    from generator.cluster.kube_api import Kube
    from generator.cluster.outputs import write_kubeconfig
    from generator.pki.store import KeyStore
    from generator.provider.digitalocean import Cloud

    project = Project.load(file)
    access = _access(factory, lab=lab)
    plan = project.plan
    store = KeyStore.open(project.keys_path, plan, project.inventory, now=Clock().now())
    names = {plan.node_tag(node) for node in plan.control_planes}
    droplets = [one for one in Cloud(access).droplets(plan.cluster_tag) if names & set(one.tags) and one.public]
    addresses = [one.public for one in droplets if one.public]
    if not addresses:
        raise Problem("has no control-plane droplet with an address", where=plan.name, hint="`gen launch`")
    credentials = _credentials(project)
    answering = (one for one in addresses if Kube(one, credentials, access.proxy).ready())
    address = next(answering, None)
    if address is None:
        click.echo("warning: no API server answers now; the file names the first droplet", err=True)
    click.echo(write_kubeconfig(plan, store, project.keys_path, access, address or addresses[0]))


@click.command()
@click.argument("name", required=False)
@click.option(
    "-f",
    "--file",
    type=click.Path(path_type=Path),
    help="The description, for name and bucket.  [default: cluster.yaml]",
)
@lab_option
@click.option("--yes", metavar="NAME", help="Do not ask; NAME has to be the cluster's.")
@click.pass_obj
def destroy(
    factory: Callable[[], Access] | None, *, name: str | None, file: Path | None, lab: bool, yes: str | None
) -> None:
    """Remove everything that launch made, and prove that nothing is left.

    With NAME and without a description the cluster is found by the account alone. Beside an inventory of that
    name, another cluster of the name is not touched.
    """
    from generator.clock import Clock
    from generator.cluster.destroy import Destroyer
    from generator.plan import inventory

    _end_on_signal()
    access = _access(factory, lab=lab)
    name, bucket = _described(name, file)
    if name is None:
        raise Problem("which cluster?", hint="`gen destroy NAME`, or run it beside its cluster.yaml")
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", name):
        raise Problem(f"`{name}` is no cluster's name")
    if yes is not None and yes != name:
        raise Problem(f"`--yes {yes}` is not the cluster's name", hint=f"it is `{name}`")
    committed = inventory.load((file or DESCRIPTION).parent / "rendered" / name / "inventory.yaml")
    destroyer = Destroyer(
        name,
        access,
        Clock(),
        lambda text: click.echo(text, err=True),
        bucket=bucket,
        cluster_id=committed.cluster_id if committed else None,
    )
    remains = destroyer.find()
    lines = remains.lines()
    if not lines:
        if destroyer.trouble:
            raise destroyer.trouble
        click.echo(f"nothing of {name} is there", err=True)
        return
    for line in lines:
        click.echo(f"  {line}", err=True)
    if destroyer.trouble:
        click.echo(f"warning: {destroyer.trouble.message}; everything else goes first", err=True)
    if yes is None:
        _confirm_name(name)
    destroyer.destroy(remains)
    click.echo(f"{name} is gone: no droplet, firewall, VPC, key, tag or object of it is left", err=True)


def _described(name: str | None, file: Path | None) -> tuple[str | None, tuple[str, str] | None]:
    """Read name and bucket of the cluster to destroy; a name needs no description, so a broken one is passed over."""
    from generator.description.load import load as load_description

    path = file or DESCRIPTION
    if file is None and not path.exists():
        return name, None
    try:
        spec = load_description(path)
    except (Problem, Problems):
        if name is None or file is not None:
            raise
        click.echo(f"warning: {path} is broken, as `gen check` shows; going on by the name alone", err=True)
        return name, None
    if name in (None, spec.name):
        return spec.name, (spec.spaces.bucket, spec.spaces.region)
    if file is not None:
        raise Problem(f"describes `{spec.name}`, not `{name}`", where=str(file))
    return name, None


def _access(factory: Callable[[], Access] | None, *, lab: bool) -> Access:
    from generator.provider.connection import from_environment

    if not lab:
        return from_environment()
    if factory is None:
        raise Problem("there is no lab here")
    return factory()


def _credentials(project: Project) -> Credentials:
    from generator.cluster.kube_api import Credentials

    keys = project.keys_path
    server_name = project.plan.api_server_name
    return Credentials(keys / "kubernetes-ca.crt", keys / "admin.crt", keys / "admin.key", server_name)


def _ask(*, yes: bool, question: str) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise Problem("nobody is there to be asked", hint="`--yes` launches without asking")
    if not click.confirm(question, err=True):
        raise Problem("not launched; nothing was made")


def _confirm_name(name: str) -> None:
    if not sys.stdin.isatty():
        raise Problem("nobody is there to be asked", hint=f"`--yes {name}` destroys without asking")
    if click.prompt("Type the cluster's name to destroy it", err=True) != name:
        raise Problem("that is not its name; nothing was done")


def _end_on_signal() -> None:
    """Let SIGTERM end a run as Ctrl-C does, so that the lock is given back; a shell's background jobs ignore SIGINT."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def _span(span: timedelta) -> str:
    seconds = int(span.total_seconds())
    return f"{seconds // 3600}h" if seconds % 3600 == 0 else f"{seconds // 60}m" if seconds % 60 == 0 else f"{seconds}s"
