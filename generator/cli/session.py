"""What the verbs that change a living cluster have in common: they load, tell what boots, ask, and show each step."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from generator.cli.options import (
    Duration,
    Factory,
    connect,
    end_on_signal,
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

if TYPE_CHECKING:
    from generator.cli.course import Course
    from generator.cluster.engine import Engine, Event
    from generator.cluster.observer import Observer
    from generator.cluster.phase_table import PhaseTable
    from generator.cluster.site import Site
    from generator.provider.connection import Connection

SHORTEST_URL = timedelta(minutes=5)

yes_option = click.option("--yes", is_flag=True, help="Do not ask before anything is changed.")
dry_run_option = click.option("--dry-run", is_flag=True, help="Print what would be done, and do nothing.")
uncommitted_option = click.option("--uncommitted", is_flag=True, help="Send documents that are in no commit.")
force_option = click.option(
    "--force", is_flag=True, help="Give up what can't be moved: pods that stay, and data on the node's own disk."
)
drain_option = click.option(
    "--drain-timeout",
    type=Duration(timedelta(seconds=10), timedelta(hours=24)),
    default="5m",
    show_default=True,
    help="How long pods may take to leave a node.",
)


def timeout_option(default: str, longest: timedelta, what: str) -> Callable[[Any], Any]:
    """Make the option that bounds a verb's own time."""
    kind = Duration(timedelta(seconds=10), longest)
    return click.option("--timeout", type=kind, default=default, show_default=True, help=what)


lifetime_option = click.option(
    "--url-lifetime",
    type=Duration(SHORTEST_URL, LONGEST_URL),
    default=span_text(LONGEST_URL),
    show_default=True,
    help=f"How long a node can fetch its secrets and report, {span_text(SHORTEST_URL)} to {span_text(LONGEST_URL)}.",
)


@dataclass(frozen=True)
class Session:
    """A cluster that a verb works on."""

    project: Project
    site: Site
    connection: Connection


def opened(
    factory: Factory | None,
    *,
    file: Path,
    lab: str | None,
    uncommitted: bool,
    lifetime: timedelta,
    given_up: Sequence[str] = (),
) -> Session:
    """Load what was reviewed, and find the way to the account; say what boots, what ends, and who may log in.

    Raises:
        Problems: see `launchable.prepare`.
    """
    from generator.clock import Clock
    from generator.cluster import review
    from generator.cluster.launchable import prepare
    from generator.cluster.site import Site
    from generator.pki.store import report_keys

    end_on_signal()
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
    launchable = prepare(project, now=clock.now(), commit=reviewed.commit, spaces=connection.spaces_endpoint)
    known_nodes(launchable.plan, given_up, option="--give-up ")
    site = Site(
        launchable,
        connection,
        operator_credentials(project),
        clock=clock,
        lifetime=lifetime,
        report_keys=report_keys(project.keys_path, project.known_nodes),
        given_up=frozenset(given_up),
    )
    return Session(project, site, connection)


def observing(project: Project, connection: Connection) -> Observer:
    """Give what looks at a cluster and changes nothing, for a verb that needs no reviewed documents."""
    from generator.clock import Clock
    from generator.cluster.observer import Observer
    from generator.pki.store import report_keys
    from generator.provider.digitalocean import Cloud
    from generator.provider.spaces import Spaces

    plan, clock = project.plan, Clock()
    return Observer(
        plan,
        Cloud(connection, clock),
        Spaces(connection, bucket=plan.spaces_bucket, region=plan.spaces_region),
        clock,
        operator_credentials(project),
        connection.proxy,
        report_keys=report_keys(project.keys_path, project.known_nodes),
    )


def say_what_is_given_up(site: Site, nodes: Sequence[str]) -> None:
    """Say which data goes with some nodes that are replaced or removed by force.

    Raises:
        NotYet: no API server says.
    """
    from generator.cluster.departure import lost_data

    for problem in (one for node in nodes for one in lost_data(site, node)):
        say(f"warning: {problem.where} {problem.message}, and `--force` gives it up")


def known_nodes(plan: Plan, names: Sequence[str], *, option: str = "") -> None:
    """Hold names of nodes against the plan.

    Raises:
        Problems: one for each that is no node's.
    """
    planned = [node.name for node in plan.nodes]
    hint = f"the nodes are {', '.join(planned)}"
    raise_all(Problem("no such node", where=f"{option}{name}", hint=hint) for name in names if name not in planned)


def ask(*, yes: bool, question: str, undone: str) -> None:
    """Ask the person, unless told not to.

    Raises:
        Problem: they said no, or nobody is there.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise Problem("nobody is there to be asked", hint="`--yes` goes on without asking")
    if not click.confirm(question, err=True):
        raise Problem(undone)


@contextmanager
def working(
    site: Site,
    *,
    timeout: timedelta,
    goes_on: str,
    tells: bool = False,
    as_json: bool = False,
    course: Course | None = None,
) -> Iterator[tuple[Engine, PhaseTable, Callable[[], None]]]:
    """Hold the launch lock, show the nodes and where it `tells` each step, and say how to go on where it ends early.

    Where there is a `course`, its table is shown above the nodes, and stays at the end.

    Yields:
        The engine, the table, and what keeps the launch lock.
    """
    from rich.console import Console

    from generator.cluster.engine import Engine
    from generator.cluster.launch_lock import LaunchLock
    from generator.cluster.phase_table import PhaseTable
    from generator.cluster.watch import Watch

    try:
        with PhaseTable(Console(stderr=True)) as table:
            table.head = course.table if course else None
            watch = Watch(table, site.clock.now() + timeout)
            if not site.spaces.bucket_exists():
                site.spaces.create_bucket()
            with LaunchLock(site.spaces, site.plan.name, site.clock, table.say) as lock:
                site.look(anew=True)
                tell = teller(table, as_json=as_json, course=course) if tells else _silent
                yield Engine(site, lock, watch, tell), table, lock.keep
    except (Problem, Problems, KeyboardInterrupt):
        if course is not None and course.now:
            say(course.table())
        say(goes_on)
        raise


def teller(table: PhaseTable, *, as_json: bool, course: Course | None = None) -> Callable[[Event], None]:
    """Show events: to a person what began and how long it took, to a script one JSON object a line."""

    def tell(event: Event) -> None:
        if course is not None:
            course.hear(event)
        if as_json:
            click.echo(json.dumps(event.facts))
        if event.state == "begun":
            table.say(f"{event.step} …")
        elif event.state == "done":
            table.say(f"{event.step}: done ({event.seconds:.0f}s)")

    return tell


def _silent(event: Event) -> None:
    """Tell nothing."""
