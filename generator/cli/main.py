"""Parses the command line, prints, and is the only place that chooses an exit code.

Commands are imported when they are run: the cryptography, the provider's client and the lab stay out of `gen --help`.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import click

from generator import __version__
from generator.errors import Problem, Problems
from generator.provider.connection import Connection

DONE, PROBLEMS, USAGE, INTERRUPTED = 0, 1, 2, 130
EXIT_CODES = {DONE: "done", PROBLEMS: "problems reported", USAGE: "wrong usage", INTERRUPTED: "interrupted"}


@dataclass(frozen=True)
class Verb:
    """Where a command lives, and what it does in one sentence."""

    place: str
    help: str


VERBS: Mapping[str, Verb] = {
    "init": Verb("generator.cli.init:init", "Write the tutorial's description into this directory."),
    "check": Verb("generator.cli.check:check", "Report every mistake in a description; cost nothing."),
    "plan": Verb("generator.cli.plan:plan", "Show what is decided: nodes, addresses, certificates, cost."),
    "render": Verb("generator.cli.render:render", "Make missing keys and write all documents."),
    "diff": Verb("generator.cli.diff:diff", "Show what a change recreates, applies, opens, costs and loses."),
    "release": Verb("generator.cli.release:release", "List, show and pin the locks of releases."),
    "bake": Verb("generator.cli.bake:bake", "Make a snapshot with everything in place, for quicker boots."),
    "launch": Verb("generator.cli.launch:launch", "Create what is missing and wait until the cluster serves."),
    "replace": Verb("generator.cli.replace:replace", "Recreate nodes, one at a time, without harm."),
    "rollout": Verb("generator.cli.rollout:rollout", "Bring every node to its document, one safe step at a time."),
    "evict": Verb("generator.cli.evict:evict", "Make new keys for a worker that is not trusted any more."),
    "status": Verb("generator.cli.status:status", "Show how the nodes are."),
    "logs": Verb("generator.cli.logs:logs", "Print what a node's units have logged."),
    "open": Verb("generator.cli.open:open_", "Print how people reach the order book."),
    "kubeconfig": Verb("generator.cli.kubeconfig:kubeconfig", "Write a kubeconfig for a running cluster."),
    "rotate": Verb("generator.cli.rotate:rotate", "Make a certificate anew with which an addon serves."),
    "keys": Verb("generator.cli.keys:keys", "Hand a cluster's keys over, sealed, and take them in."),
    "snapshot": Verb("generator.cli.snapshot:snapshot", "Keep etcd and the database where no node can lose them."),
    "restore": Verb("generator.cli.restore:restore", "Bring back a cluster that has lost its control plane."),
    "destroy": Verb("generator.cli.destroy:destroy", "Remove everything that launch made."),
    "probe": Verb("generator.cli.probe:probe", "Ask the provider what is believed of it, for about a cent."),
    "lab": Verb("generator.cli.lab:lab", "Run a DigitalOcean on this machine."),
}


class Gen(click.Group):
    """The group of all verbs; each is imported when it is asked for."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Let `--lab` alone take no word that follows for its name, which stands behind a `=`."""
        end = args.index("--") if "--" in args else len(args)
        return super().parse_args(ctx, ["--lab=" if word == "--lab" else word for word in args[:end]] + args[end:])

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Name the verbs in the order they are used."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a verb."""
        if cmd_name not in VERBS:
            return None
        module, _, name = VERBS[cmd_name].place.partition(":")
        command = getattr(importlib.import_module(module), name)
        if not isinstance(command, click.Command):
            raise TypeError(f"{VERBS[cmd_name].place} is no command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the verbs without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, verb.help) for name, verb in VERBS.items()])


@click.command(cls=Gen, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="gen")
def gen() -> None:
    """Turn one cluster.yaml into a Kubernetes cluster whose droplets assemble themselves.

    Data goes to stdout, everything else to stderr. Exit codes: 0 done, 1 problems reported, 2 wrong usage,
    130 interrupted.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command and give its exit code; a bug raises."""
    try:
        given = None if arguments is None else list(arguments)
        code = gen.main(args=given, prog_name="gen", standalone_mode=False, obj=_lab_connection)
    except (Problem, Problems) as error:
        click.echo(_coloured(str(error)), err=True)
        return PROBLEMS
    except click.ClickException as error:
        error.show()
        return USAGE
    except OSError as error:
        # A file that can't be read or written is for the user to mend; anything else is a bug.
        if error.filename is None:
            raise
        click.echo(_coloured(f"error: {error.filename}: {(error.strerror or str(error)).lower()}"), err=True)
        return PROBLEMS
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    return code if isinstance(code, int) else DONE


def _lab_connection(name: str | None) -> Connection:
    """Find a lab's credentials, endpoints and proxy for a verb's `--lab`."""
    from generator.lab.connection import connection
    from generator.lab.state import State

    return connection(State.named(name))


def _coloured(text: str) -> str:
    if not sys.stderr.isatty() or os.environ.get("NO_COLOR"):
        return text
    lines = [
        click.style("error:", fg="red", bold=True) + line.removeprefix("error:") if line.startswith("error:") else line
        for line in text.split("\n")
    ]
    return "\n".join(lines)
