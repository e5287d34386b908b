"""`gen launch`: creates what is missing and waits until the cluster serves."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from pathlib import Path

import click

from generator.catalogue import SPACES_MONTHLY
from generator.cli.options import Factory, file_option, json_option, lab_option, say
from generator.cli.session import (
    ask,
    dry_run_option,
    lifetime_option,
    opened,
    timeout_option,
    uncommitted_option,
    working,
    yes_option,
)
from generator.errors import raise_all


@click.command()
@file_option
@lab_option
@yes_option
@uncommitted_option
@click.option(
    "--give-up",
    metavar="NODE",
    multiple=True,
    help="Recreate a node that looks lost, though no API server answers that could say so.",
)
@click.option(
    "--prune-data",
    is_flag=True,
    help="Delete also what left your own addons and holds data: namespaces, claims and volumes, definitions.",
)
@dry_run_option
@json_option
@lifetime_option
@timeout_option("30m", timedelta(hours=24), "How long to wait for the cluster.")
@click.pass_obj
def launch(
    factory: Factory | None,
    *,
    file: Path,
    lab: str | None,
    yes: bool,
    uncommitted: bool,
    give_up: tuple[str, ...],
    prune_data: bool,
    dry_run: bool,
    as_json: bool,
    url_lifetime: timedelta,
    timeout: timedelta,
) -> None:
    """Create what is missing and wait until the cluster serves.

    Can be interrupted and run again: it does what is missing, and changes nothing when nothing is. Exits 1 when the
    cluster serves, but an addon of your own is broken; it is tried again then.
    """
    from generator.cluster import addon_state, marks, outputs, own_addons
    from generator.cluster.access import LONGEST as LONGEST_TOKEN
    from generator.cluster.access import Access
    from generator.cluster.assembly import Assembly
    from generator.cluster.kinds.kind import told
    from generator.cluster.launch import door, rehearse, served
    from generator.cluster.preflight import monthly, warnings
    from generator.documents.render import AUTHORITY

    started = time.monotonic()
    session = opened(factory, file=file, lab=lab, uncommitted=uncommitted, lifetime=url_lifetime, given_up=give_up)
    site, plan, connection = session.site, session.site.plan, session.connection
    actions, offered = rehearse(site)
    for line in warnings(offered):
        say(f"warning: {line}")
    lines = list(filter(None, told(actions)))
    if dry_run:
        click.echo(json.dumps([one.facts for one in actions], indent=2) if as_json else "\n".join(lines))
        return
    for line in lines:
        say(f"  {line}")
    if any(action.changes for action in actions):
        price = monthly(plan, offered.sizes)
        click.echo(f"  {len(plan.nodes)} droplets at ${price:.0f} a month, Spaces ${SPACES_MONTHLY}", err=True)
        ask(yes=yes, question="Launch?", undone="not launched; nothing was made")
    goes_on = f"what was made stays: `gen launch` goes on, `gen destroy {plan.name}` removes it"
    with working(site, timeout=timeout, goes_on=goes_on) as (engine, table, keep):
        engine.run(Assembly(table.say, keep).steps())
        up = served(site)
        if site.trail.spans:
            site.trail.keep(up.server)
        unfinished = tuple(marks.read(up.server))
    for node in unfinished:
        say(f"note: the replacement of {node} is not through: `gen replace {node}` goes on, with `--undo` it stays")
    address = door(site)
    access = Access(plan, session.project.keys_path, address, connection.proxy)
    path = access.daily(up.server, LONGEST_TOKEN)
    authority = session.project.rendered_path / AUTHORITY
    facts = outputs.facts(plan, connection, address=address, public=up.public, path=path, authority=authority)
    facts |= {"seconds": round(time.monotonic() - started), "api_requests": site.cloud.requests}
    click.echo(json.dumps(facts, indent=2) if as_json else outputs.text(facts))
    states = site.observed.addons
    wanted = {one for addon in plan.own for one in addon.identities}
    kept = own_addons.deletable(states, wanted)
    if prune_data and kept:
        for addon, one in kept:
            say(f"  delete {one}, which left {addon}, and all that is in it")
        ask(yes=yes, question="Delete for ever?", undone="nothing was deleted")
        own_addons.delete(up.server, states, kept, say)
    elif kept:
        say(f"note: {len(kept)} objects left their addons and are kept: `gen status` lists them")
        say("  hint: `gen launch --prune-data` deletes them, with all data")
    broken = list(addon_state.problems(states))
    if broken:
        site.again()
    raise_all(broken)
