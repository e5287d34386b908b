"""`gen replace`: recreates nodes, one at a time, without harm to what runs."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from pathlib import Path

import click

from generator.cli.options import Factory, file_option, json_option, lab_option, say
from generator.cli.session import (
    ask,
    drain_option,
    dry_run_option,
    force_option,
    known_nodes,
    lifetime_option,
    opened,
    say_what_is_given_up,
    timeout_option,
    uncommitted_option,
    working,
    yes_option,
)
from generator.errors import raise_all


@click.command()
@click.argument("nodes", nargs=-1, required=True, metavar="NODE...")
@file_option
@lab_option
@yes_option
@click.option(
    "--undo", "undone", is_flag=True, help="Let nodes stay whose replacement was begun, while they still can."
)
@force_option
@drain_option
@uncommitted_option
@dry_run_option
@json_option
@lifetime_option
@timeout_option("30m", timedelta(hours=24), "How long all of it may take.")
@click.pass_obj
def replace(
    factory: Factory | None,
    *,
    nodes: tuple[str, ...],
    file: Path,
    lab: str | None,
    yes: bool,
    undone: bool,
    force: bool,
    drain_timeout: timedelta,
    uncommitted: bool,
    dry_run: bool,
    as_json: bool,
    url_lifetime: timedelta,
    timeout: timedelta,
) -> None:
    """Recreate nodes with the same identity, one after the other: drain, delete, create, rejoin, prove.

    Can be interrupted and run again, also from another machine with the same keys: it goes on where it was.
    """
    from generator.cluster import drain, marks
    from generator.cluster.assembly import Assembly
    from generator.cluster.departure import Terms
    from generator.cluster.replace import Replacement, objections, undo

    session = opened(factory, file=file, lab=lab, uncommitted=uncommitted, lifetime=url_lifetime)
    site, terms = session.site, Terms(drain_timeout, force)
    names = tuple(dict.fromkeys(nodes))
    known_nodes(site.plan, names)
    if undone:
        with working(site, timeout=timeout, goes_on="nothing is lost: run it again"):
            undo(site, names)
        say(f"{', '.join(names)}: stays, and takes pods again")
        return
    server = site.server
    begun = marks.read(server)
    before = {name: site.case.here.get(name) for name in names}
    for name in names:
        droplet = before[name]
        was = f"droplet {droplet.id}, {droplet.status}" if droplet else "no droplet"
        say(f"  replace {name}  ({was}{', begun before' if name in begun else ''})")
        for warning in drain.warnings(server, name):
            say(f"    warning: {warning}")
    if force:
        say_what_is_given_up(site, names)
    raise_all(one for name in names if name not in begun for one in objections(site, (name,), terms))
    if dry_run:
        steps = Replacement(terms, Assembly(say, lambda: None)).steps(names)
        rows = [(step.row.name, str(step.row.words)) for step in steps]
        click.echo(
            json.dumps([row for row, _ in rows]) if as_json else "\n".join(f"{row:<9} {words}" for row, words in rows)
        )
        return
    ask(yes=yes, question=f"Replace {', '.join(names)}?", undone="not replaced; nothing was changed")
    started = time.monotonic()
    goes_on = f"what was begun stays begun: `gen replace {' '.join(names)}` goes on"
    with working(site, timeout=timeout, goes_on=goes_on, tells=True, as_json=as_json) as (engine, table, keep):
        replacement = Replacement(terms, Assembly(table.say, keep))
        for name in names:
            engine.run(replacement.steps((name,)))
    seconds = round(time.monotonic() - started)
    for name in names:
        old, new = before[name], site.case.here[name]
        say(f"{name} is back: droplet {old.id if old else 'none'} → {new.id}")
    say(f"{len(names)} replaced in {seconds} s; `gen status` shows the cluster")
