"""`gen snapshot`: takes snapshots of etcd and dumps of the database, lists, tries and deletes them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from generator.cli.options import (
    Duration,
    Factory,
    connect,
    end_on_signal,
    file_option,
    json_option,
    lab_option,
    operator_credentials,
    print_json,
    say,
)
from generator.cli.session import ask, yes_option
from generator.cli.table import text_table
from generator.errors import Problem, Problems
from generator.plan.project import Project

if TYPE_CHECKING:
    from generator.cluster.channel import Channel
    from generator.cluster.snapshots import Kind, Snapshot
    from generator.provider.connection import Connection

database_option = click.option("--database", is_flag=True, help="Dumps of the order book's database instead.")


@click.group()
def snapshot() -> None:
    """Keep what no node can lose: snapshots of etcd and dumps of the database, sealed, in a bucket of their own."""


@snapshot.command("list")
@file_option
@lab_option
@json_option
@click.pass_obj
def list_(factory: Factory | None, *, file: Path, lab: str | None, as_json: bool) -> int:
    """Show what is kept, how old and how large it is, and when it was tried last; needs the bucket alone.

    Exits 1 where nobody of this cluster vouches for something that lies there.
    """
    from generator.clock import Clock
    from generator.cluster.snapshots import KINDS
    from generator.cluster.state_store import StateStore

    store = StateStore(Project.load(file), connect(factory, lab=lab))
    now = Clock().now()
    shelves = {kind: store.shelf(kind) for kind in KINDS}
    found = [one for each in shelves.values() for one in each.snapshots]
    doubtful = {f"{kind} {name}": why for kind, each in shelves.items() for name, why in each.doubtful.items()}
    lone = [f"{kind} {name}" for kind, each in shelves.items() for name in each.lone]
    if as_json:
        print_json({"snapshots": [one.facts(now) for one in found], "doubtful": doubtful, "lone": lone})
    else:
        click.echo(_table(found, now))
        for where, why in doubtful.items():
            say(f"warning: {where}: {why}; it is never restored; `gen snapshot prune --doubtful` deletes it")
        if lone:
            say(f"note: {len(lone)} lack their manifest, as a run was cut off; `gen snapshot prune` deletes them")
    return 1 if doubtful else 0


@snapshot.command()
@file_option
@lab_option
@database_option
@json_option
@click.option(
    "--timeout",
    type=Duration(timedelta(seconds=10), timedelta(hours=2)),
    default="10m",
    show_default=True,
    help="How long to wait for it.",
)
@click.pass_obj
def create(
    factory: Factory | None, *, file: Path, lab: str | None, database: bool, as_json: bool, timeout: timedelta
) -> None:
    """Have a control-plane node take one now, and wait until it is in the bucket."""
    from generator.clock import Clock
    from generator.cluster.snapshots import DATABASE, ETCD
    from generator.cluster.state_store import StateStore

    end_on_signal()
    started = time.monotonic()
    project = Project.load(file)
    connection = connect(factory, lab=lab)
    kind: Kind = DATABASE if database else ETCD
    channel = speaking(project, connection)
    node = chosen(channel, [one.name for one in project.plan.control_planes])
    say(f"{node} takes it …")
    answer = channel.ask("keep", [node], {"kind": kind}, patience=timeout).get(node)
    if answer is None or not isinstance(answer.result, dict):
        why = answer.message if answer else f"did not answer within {timeout.total_seconds():.0f} s"
        hint = f"`gen logs {node} hardway-channel` shows what it does"
        raise Problem(f"could not keep it: {why}", where=node, hint=hint)
    name = str(answer.result.get("name"))
    found = next((one for one in StateStore(project, connection).shelf(kind).snapshots if one.name == name), None)
    if found is None:
        raise Problem("is not in the bucket, though the node says so", where=f"{kind} {name}")
    if as_json:
        print_json(found.facts(Clock().now()))
        return
    what = f", revision {found.revision}, {found.keys} keys" if found.keys is not None else ""
    seconds = time.monotonic() - started
    click.echo(f"{kind} {name}: {found.sealed_bytes / 2**20:.1f} MiB{what}, in {seconds:.0f} s")


@snapshot.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
@file_option
@lab_option
@database_option
@json_option
@click.pass_obj
def verify(
    factory: Factory | None, *, names: tuple[str, ...], file: Path, lab: str | None, database: bool, as_json: bool
) -> None:
    """Try the newest, or those named: bring, open and restore each on this machine, and compare what is in it.

    What holds is said beside it, signed with the operator's key; `gen status` and `gen restore` go by that.
    """
    from generator.clock import Clock
    from generator.cluster.snapshots import DATABASE, ETCD, Unbelievable
    from generator.cluster.state_store import StateStore
    from generator.cluster.trial import refused

    end_on_signal()
    store = StateStore(Project.load(file), connect(factory, lab=lab))
    kind: Kind = DATABASE if database else ETCD
    shelf = store.shelf(kind)
    wanted = [store.pick(shelf, kind, name) for name in names or ("",)]
    problems, told = [], []
    for one in wanted:
        started = time.monotonic()
        try:
            with store.tried(one):
                pass
        except Unbelievable as reason:
            problems.append(refused(one, reason))
            continue
        store.vouch(one)
        seconds = round(time.monotonic() - started, 1)
        told.append({**one.facts(Clock().now()), "seconds": seconds})
        if not as_json:
            what = f": revision {one.revision}, {one.keys} keys" if one.keys is not None else ""
            click.echo(f"{kind} {one.name} holds{what} ({seconds:.0f} s)")
    if as_json:
        print_json(told)
    if problems:
        raise Problems(problems)


@snapshot.command()
@file_option
@lab_option
@yes_option
@click.option("--doubtful", is_flag=True, help="Delete what nobody of this cluster vouches for as well.")
@click.option("--all", "everything", metavar="NAME", help="Delete all, also the newest; NAME has to be the cluster's.")
@click.pass_obj
def prune(
    factory: Factory | None, *, file: Path, lab: str | None, yes: bool, doubtful: bool, everything: str | None
) -> None:
    """Delete what the description no longer keeps, by hours, days and weeks; the newest stays, as does what was tried.

    What runs that were cut off have left goes too. Nodes only add; nobody but this verb deletes.
    """
    from generator.clock import Clock
    from generator.cluster.snapshots import KINDS, surplus
    from generator.cluster.state_store import StateStore

    project = Project.load(file)
    store = StateStore(project, connect(factory, lab=lab))
    if everything is not None and everything != project.plan.name:
        raise Problem(f"`--all {everything}` is not the cluster's name", hint=f"it is `{project.plan.name}`")
    shelves = {kind: store.shelf(kind) for kind in KINDS}
    old = [
        one
        for each in shelves.values()
        for one in (each.snapshots if everything else surplus(each.snapshots, project.plan))
    ]
    going = [(one.kind, one.name) for one in old]
    going += [(kind, name) for kind, each in shelves.items() for name in each.lone]
    if doubtful:
        going += [(kind, name) for kind, each in shelves.items() for name in each.doubtful]
    if everything:
        going += [(kind, name) for kind, each in shelves.items() for name in sorted(each.names)]
        going = list(dict.fromkeys(going))
    stay = sum(len(each.snapshots) for each in shelves.values()) - len(old)
    if not going:
        say(f"nothing to delete: {stay} stay")
        return
    if old:
        click.echo(_table(old, Clock().now()))
    for kind, name in going[len(old) :]:
        say(f"  {kind} {name}: {shelves[kind].doubtful.get(name, 'has no manifest')}")
    ask(yes=yes, question=f"Delete these {len(going)}, keep {stay}?", undone="nothing was deleted")
    for kind, name in going:
        store.delete(kind, name)
    say(f"{len(going)} deleted, {stay} stay")


def _table(found: Iterable[Snapshot], now: datetime) -> str:
    from generator.cluster.phase_table import age

    head = ("KIND", "NAME", "AGE", "MIB", "REVISION", "KEYS", "VERIFIED")
    rows = []
    for one in found:
        verified = f"{age(one.verified, now)} ago" if one.verified else "never"
        size = f"{one.sealed_bytes / 2**20:.1f}"
        rows.append((one.kind, one.name, age(one.time, now), size, one.revision or "-", one.keys or "-", verified))
    return text_table(head, rows)


def speaking(project: Project, connection: Connection) -> Channel:
    """Find the way to the control-plane nodes.

    Raises:
        Problem: no API server answers.
    """
    from generator.clock import Clock
    from generator.cluster.access import serving
    from generator.cluster.channel import Channel
    from generator.pki.store import operator_key, report_keys
    from generator.provider.digitalocean import Cloud

    plan = project.plan
    server = serving(plan, Cloud(connection), operator_credentials(project), connection.proxy).server
    if server is None:
        hint = "is this machine's address in `access.api`? `gen status` shows how the nodes are"
        raise Problem("no API server answers, and it is the only way to a node", where=plan.name, hint=hint)
    reports = report_keys(project.keys_path, project.known_nodes)
    return Channel(plan.cluster_id, server, operator_key(project.keys_path), reports, Clock())


def chosen(channel: Channel, nodes: Sequence[str]) -> str:
    """Choose who takes it: a voter of etcd that is well, one that doesn't lead where there is one.

    Raises:
        Problem: none answers.
    """
    views = channel.ask("etcd", nodes, {}, patience=timedelta(seconds=45))
    well = {
        name: one.result
        for name, one in views.items()
        if isinstance(one.result, dict) and "trouble" not in one.result and not one.result.get("learner")
    }
    followers = [name for name, seen in well.items() if seen.get("leader") != seen.get("member")]
    found = next(iter((*followers, *well)), None)
    if found is None:
        raise Problem(
            "no control-plane node tells that its etcd is well", hint="`gen status --ask` shows what they see"
        )
    return found
