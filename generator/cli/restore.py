"""`gen restore`: brings back a cluster whose control plane is lost, or the order book's database."""

from __future__ import annotations

import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from generator.cli.options import Factory, connect, end_on_signal, file_option, json_option, lab_option, say
from generator.cli.session import Session, lifetime_option, opened, timeout_option, uncommitted_option, working
from generator.cli.snapshot import speaking
from generator.errors import Problem
from generator.plan.project import Project

if TYPE_CHECKING:
    from generator.cluster.snapshots import Snapshot
    from generator.cluster.state_store import StateStore


@click.command()
@click.argument("name", metavar="[SNAPSHOT]", required=False)
@file_option
@lab_option
@click.option("--yes", metavar="NAME", help="Do not ask; NAME has to be the cluster's.")
@click.option("--database", is_flag=True, help="Bring back the order book's database alone, from a dump.")
@uncommitted_option
@json_option
@lifetime_option
@timeout_option("45m", timedelta(hours=24), "How long all of it may take.")
@click.pass_obj
def restore(
    factory: Factory | None,
    *,
    name: str | None,
    file: Path,
    lab: str | None,
    yes: str | None,
    database: bool,
    uncommitted: bool,
    as_json: bool,
    url_lifetime: timedelta,
    timeout: timedelta,
) -> None:
    """Bring back a cluster that has lost all control-plane nodes, from a snapshot of etcd.

    New droplets with the same identities begin with the newest snapshot that was verified, or the one named. With
    `--database` the order book's database becomes what a dump has, all or nothing, and everything else goes on.

    Can be interrupted and run again: it goes on where it was.
    """
    end_on_signal()
    started = time.monotonic()
    if database:
        _database(Project.load(file), factory, lab, name, yes, timeout)
        return
    session = opened(factory, file=file, lab=lab, uncommitted=uncommitted, lifetime=url_lifetime)
    _cluster(session, name, yes, timeout, as_json=as_json)
    say(f"restored in {time.monotonic() - started:.0f} s; `gen status` shows the cluster")


def _cluster(session: Session, name: str | None, yes: str | None, timeout: timedelta, *, as_json: bool) -> None:
    from generator.cluster import trial
    from generator.cluster.assembly import Assembly
    from generator.cluster.restore import Restoration, control_plane, is_begun
    from generator.cluster.snapshots import Unbelievable
    from generator.cluster.state_store import StateStore
    from generator.pki.store import KeyStore

    site, project = session.site, session.project
    store = StateStore(project, session.connection)
    one = _chosen(session, store, name)
    site.look()
    _tell(session, one)
    there = () if is_begun(site, one) else control_plane(site)
    if there:
        say("these are there still, and go, with whatever their etcd has that the snapshot hasn't:")
        for droplet in there:
            say(f"  droplet {droplet.name} ({droplet.id}), {droplet.status}")
    say("bringing it, and trying it on this machine …")
    try:
        with store.tried(one) as plain:
            store.vouch(one)
            if not is_begun(site, one):
                _confirm(site.plan.name, yes)
            keys = KeyStore.open(project.keys_path, project.plan, project.inventory, now=site.clock.now())
            goes_on = "what was begun stays begun: `gen restore` goes on"
            with working(site, timeout=timeout, goes_on=goes_on, tells=True, as_json=as_json) as (engine, table, keep):
                engine.run(Restoration(one, plain, keys, Assembly(table.say, keep)).steps())
    except Unbelievable as reason:
        raise trial.refused(one, reason) from None


def _chosen(session: Session, store: StateStore, name: str | None) -> Snapshot:
    """Choose the snapshot: the one that was begun with, the one named, else the newest that was verified."""
    from generator.cluster.restore import is_begun
    from generator.cluster.snapshots import ETCD

    shelf, roster = store.shelf(ETCD), session.site.observed.roster
    begun = next((one for one in shelf.snapshots if is_begun(session.site, one)), None)
    if begun is not None and name in (None, begun.name):
        say(f"a restore was begun with {begun.name}, and goes on")
        return begun
    if begun is None and name is None and roster is not None and roster.etcd.state == "restoring":
        hint = "`gen snapshot list` shows the others; name one"
        raise Problem("the snapshot that a restore was begun with is gone", where=session.site.plan.name, hint=hint)
    found = store.pick(shelf, ETCD, name) if name else shelf.newest_verified or store.pick(shelf, ETCD)
    if not name and shelf.newest is not None and found != shelf.newest:
        say(f"note: {shelf.newest.name} is newer, and was never verified: `gen restore {shelf.newest.name}` takes it")
    return found


def _tell(session: Session, one: Snapshot) -> None:
    """Say what comes back, and what does not."""
    from generator.clock import stamp
    from generator.cluster.restore import is_begun, last_heard

    now = session.site.observed.time
    heard = last_heard(session.site)
    until = max(heard, one.time) if heard is not None else now
    since = f"as the last word of the control plane is of {stamp(until)}" if heard is not None else "until now"
    say(f"{one.name}: revision {one.revision}, {one.keys} keys, taken {stamp(one.time)} by {one.node}")
    say(f"what was written after that is gone: {_minutes(until - one.time)}, {since}")
    if session.site.observed.ready is not None and not is_begun(session.site, one):
        say("warning: the Kubernetes API answers: this cluster lives, and goes back to what it was then")


def _minutes(span: timedelta) -> str:
    count = round(span.total_seconds() / 60)
    return "less than a minute" if count < 1 else f"{count} minute{'s' if count > 1 else ''}"


def _confirm(cluster: str, yes: str | None) -> None:
    if yes is not None:
        if yes != cluster:
            raise Problem(f"`--yes {yes}` is not the cluster's name", hint=f"it is `{cluster}`")
        return
    if not sys.stdin.isatty():
        raise Problem("nobody is there to be asked", hint=f"`--yes {cluster}` goes on without asking")
    if click.prompt("Type the cluster's name to restore it", err=True) != cluster:
        raise Problem("that is not its name; nothing was done")


def _database(
    project: Project, factory: Factory | None, lab: str | None, name: str | None, yes: str | None, timeout: timedelta
) -> None:
    from generator.clock import Clock, stamp
    from generator.cluster import resealing, trial
    from generator.cluster.snapshots import DATABASE, Unbelievable
    from generator.cluster.state_store import StateStore

    connection = connect(factory, lab=lab)
    store, plan = StateStore(project, connection), project.plan
    one = store.pick(store.shelf(DATABASE), DATABASE, name or "")
    channel = speaking(project, connection)
    say(f"{one.name}: {one.plain_bytes:,} bytes, dumped {stamp(one.time)} by {one.node}")
    say(f"the database becomes what it was then: everything of the {_minutes(Clock().now() - one.time)} since is gone")
    try:
        with store.tried(one) as plain:
            _confirm(plan.name, yes)
            with resealing.resealed(plain, plan, connection, one.plain_sha256) as given:
                node = resealing.ask(channel, plan, given, timeout)
    except Unbelievable as reason:
        raise trial.refused(one, reason) from None
    say(f"the database is that of {stamp(one.time)}, brought by {node}")
