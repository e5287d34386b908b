"""`gen launch`: creates what is missing and waits until the cluster serves."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import click

from generator.catalogue import SPACES_MONTHLY
from generator.cli.options import (
    Duration,
    Factory,
    connect,
    end_on_signal,
    file_option,
    json_option,
    lab_option,
    operator_credentials,
    say,
    say_what_ends,
    say_who_debugs,
    span_text,
    today,
)
from generator.errors import Problem, Problems, raise_all
from generator.plan.decide import Plan
from generator.plan.project import Project
from generator.provider.spaces import LONGEST_URL

SHORTEST_URL = timedelta(minutes=5)


@click.command()
@file_option
@lab_option
@click.option("--yes", is_flag=True, help="Do not ask before anything is made.")
@click.option("--uncommitted", is_flag=True, help="Send documents that are in no commit.")
@click.option(
    "--give-up",
    metavar="NODE",
    multiple=True,
    help="Recreate a node that looks lost, though no API server answers that could say so.",
)
@click.option("--dry-run", is_flag=True, help="Print what would be done, and do nothing.")
@json_option
@click.option(
    "--url-lifetime",
    type=Duration(SHORTEST_URL, LONGEST_URL),
    default=span_text(LONGEST_URL),
    show_default=True,
    help=f"How long a node can fetch its secrets and report, {span_text(SHORTEST_URL)} to {span_text(LONGEST_URL)}.",
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
    factory: Factory | None,
    *,
    file: Path,
    lab: str | None,
    yes: bool,
    uncommitted: bool,
    give_up: tuple[str, ...],
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
    from generator.cluster import outputs, review
    from generator.cluster.access import LONGEST as LONGEST_TOKEN
    from generator.cluster.access import Access
    from generator.cluster.launch import Launch
    from generator.cluster.launchable import prepare
    from generator.cluster.phase_table import PhaseTable
    from generator.cluster.preflight import monthly, warnings

    end_on_signal()
    started = time.monotonic()
    clock = Clock()
    project = Project.load(file, today=today())
    connection = connect(factory, lab=lab)
    reviewed = review.of(project, uncommitted=uncommitted)
    if reviewed.commit:
        say(f"what boots is commit {reviewed.commit[:12]}, {reviewed.subject}")
    else:
        say("warning: what boots is in no commit, so nothing vouches for it")
    say_what_ends(project, None)
    say_who_debugs(project)
    launchable = prepare(project, now=clock.now(), commit=reviewed.commit)
    work = Launch(
        launchable,
        connection,
        operator_credentials(project),
        clock=clock,
        lifetime=url_lifetime,
        given_up=_known(give_up, launchable.plan),
    )
    actions, offered = work.rehearse()
    for line in warnings(offered):
        say(f"warning: {line}")
    if dry_run:
        click.echo(json.dumps([one.facts for one in actions], indent=2) if as_json else "\n".join(map(str, actions)))
        return
    for action in actions:
        say(f"  {action}")
    if any(action.changes for action in actions):
        price = monthly(launchable.plan, offered.sizes)
        click.echo(
            f"  {len(launchable.plan.nodes)} droplets at ${price:.0f} a month, Spaces ${SPACES_MONTHLY}", err=True
        )
        _ask(yes=yes, question="Launch?")
    plan = launchable.plan
    try:
        with PhaseTable(Console(stderr=True)) as table:
            served = work.run(table, timeout=timeout)
    except (Problem, Problems, KeyboardInterrupt):
        say(f"what was made stays: `gen launch` goes on, `gen destroy {plan.name}` removes it")
        raise
    access = Access(plan, project.keys_path, served.server.address, connection.proxy)
    path = access.daily(served.server, LONGEST_TOKEN)
    facts = outputs.facts(plan, connection, address=served.server.address, public=served.public, path=path)
    facts |= {"seconds": round(time.monotonic() - started), "api_requests": work.requests}
    click.echo(json.dumps(facts, indent=2) if as_json else outputs.text(facts))


def _known(names: Sequence[str], plan: Plan) -> frozenset[str]:
    planned = [node.name for node in plan.nodes]
    hint = f"the nodes are {', '.join(planned)}"
    raise_all(Problem("no such node", where=f"--give-up {name}", hint=hint) for name in names if name not in planned)
    return frozenset(names)


def _ask(*, yes: bool, question: str) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise Problem("nobody is there to be asked", hint="`--yes` launches without asking")
    if not click.confirm(question, err=True):
        raise Problem("not launched; nothing was made")
