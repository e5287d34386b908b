"""The options that several verbs share, and what they do with them: find the way to the account, ask, print."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from generator.description.load import DESCRIPTION
from generator.errors import Problem
from generator.plain_text import harmless
from generator.plan.project import Project

if TYPE_CHECKING:
    from generator.cluster.kube_api import Credentials
    from generator.provider.connection import Connection

# The context's object: gives the `Connection` of a lab by its name. The command line alone knows where it comes from.
Factory = Callable[[str | None], "Connection"]

_file = partial(click.option, "-f", "--file", type=click.Path(path_type=Path))
file_option = _file(
    default=DESCRIPTION, show_default=True, help="The description; keys/, rendered/ and releases/ lie beside it."
)
# For a verb that can do without: None tells that nobody has named one.
optional_file_option = _file(show_default=str(DESCRIPTION), help="The description, for name and bucket.")
THIS_DIRECTORY = ""
lab_option = click.option(
    "--lab",
    metavar="[=NAME]",
    is_flag=False,
    flag_value=THIS_DIRECTORY,
    help="Use a lab of this machine instead of an account: this directory's, or `HARDWAY_LAB`, or the one named.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")

min_days_option = click.option(
    "--min-days", type=click.IntRange(0, 3650), help="Exit 1 when a certificate ends in fewer days."
)


def say_what_ends(project: Project, min_days: int | None) -> str | None:
    """Say which certificates end soon, and give it where fewer days than wanted are left."""
    from generator.clock import Clock
    from generator.plan.ending import SPEAKS, ending

    now, name = Clock().now(), project.plan.name
    wanted = timedelta(days=min_days or 0)
    soon = ending(project.inventory, now, max(wanted, SPEAKS))
    if soon is not None:
        say(f"warning: {soon}\n  hint: {soon.hint(name)}")
    short = ending(project.inventory, now, wanted) if min_days is not None else None
    return str(short) if short else None


def today() -> date:
    """Give the day by which `debug.until` has to be right, in UTC."""
    from generator.clock import Clock

    return Clock().now().date()


def say_who_debugs(project: Project) -> None:
    """Say aloud who can log into nodes, or that the day until which somebody could has passed."""
    plan = project.plan
    if plan.debug is not None:
        say(f"warning: {plan.debug.warning(today(), plan.api_access)}")
        say("  hint: take `debug` away, render and commit, then `gen rollout`")


_UNITS = {"s": timedelta(seconds=1), "m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


class Duration(click.ParamType[timedelta]):
    """A time span as `90s`, `30m`, `2h` or `30d`, within bounds."""

    name = "duration"

    def __init__(self, shortest: timedelta, longest: timedelta) -> None:
        self._shortest, self._longest = shortest, longest

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Read one."""
        if isinstance(value, timedelta):
            return value
        match = re.fullmatch(r"([0-9]{1,6})([smhd])", str(value))
        if match is None:
            self.fail(f"'{value}' is no duration, write 90s, 30m, 2h or 30d", param, ctx)
        span = int(match[1]) * _UNITS[match[2]]
        if not self._shortest <= span <= self._longest:
            self.fail(
                f"'{value}' is not between {span_text(self._shortest)} and {span_text(self._longest)}", param, ctx
            )
        return span


def connect(factory: Factory | None, *, lab: str | None) -> Connection:
    """Find the way to the account, or to a lab.

    Args:
        factory: the context's object.
        lab: the lab's name, `THIS_DIRECTORY`, or `None` for the account.

    Raises:
        Problem: that lab isn't up.
        Problems: a credential is not in the environment.
    """
    from generator.provider.connection import from_environment

    if lab is None:
        return from_environment()
    if factory is None:
        raise Problem("there is no lab here")
    return factory(lab or None)


def operator_credentials(project: Project) -> Credentials:
    """Name the files with which the operator asks a cluster's API server."""
    from generator.cluster.kube_api import Credentials

    keys = project.keys_path
    server_name = project.plan.api_server_name
    return Credentials(keys / "kubernetes-ca.crt", keys / "admin.crt", keys / "admin.key", server_name)


def end_on_signal() -> None:
    """Let SIGTERM end a run as Ctrl-C does, the launch lock given back; a shell's background jobs ignore SIGINT."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def say(text: str) -> None:
    """Show a line to the person, beside the data."""
    click.echo(harmless(text), err=True)


def print_json(value: Any) -> None:
    """Print data for a script."""
    click.echo(json.dumps(value, indent=2, default=str))


def span_text(span: timedelta) -> str:
    """Write a time span as `Duration` reads it.

    >>> span_text(timedelta(hours=2)), span_text(timedelta(minutes=5)), span_text(timedelta(seconds=90))
    ('2h', '5m', '90s')
    """
    seconds = int(span.total_seconds())
    return f"{seconds // 3600}h" if seconds % 3600 == 0 else f"{seconds // 60}m" if seconds % 60 == 0 else f"{seconds}s"
