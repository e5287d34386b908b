"""`gen rollout`: brings every node to its document, one safe step at a time, and removes those that left."""

from __future__ import annotations

import json
import math
import time
from datetime import timedelta
from pathlib import Path

import click

from generator.cli.course import Course
from generator.cli.options import Duration, Factory, file_option, json_option, lab_option, say
from generator.cli.session import (
    ask,
    drain_option,
    dry_run_option,
    force_option,
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
@file_option
@lab_option
@yes_option
@force_option
@drain_option
@click.option(
    "--older-than",
    type=Duration(timedelta(minutes=1), timedelta(days=3650)),
    help="Replace as well what was made, from the image of that day, longer ago.",
)
@uncommitted_option
@dry_run_option
@json_option
@lifetime_option
@timeout_option("4h", timedelta(hours=48), "How long all of it may take.")
@click.pass_obj
def rollout(
    factory: Factory | None,
    *,
    file: Path,
    lab: str | None,
    yes: bool,
    force: bool,
    drain_timeout: timedelta,
    older_than: timedelta | None,
    uncommitted: bool,
    dry_run: bool,
    as_json: bool,
    url_lifetime: timedelta,
    timeout: timedelta,
) -> None:
    """Bring every node to its document: make what is missing, remove what left, replace what was born otherwise.

    Control-plane nodes go one at a time, workers as many as their pool allows. It stops at the first failure, and goes
    on when it is run again.
    """
    from generator.cluster import marks, quorum
    from generator.cluster.assembly import Assembly
    from generator.cluster.departure import Terms, lost_data
    from generator.cluster.drift import drifted
    from generator.cluster.gate import Gate
    from generator.cluster.launch import rehearse
    from generator.cluster.preflight import warnings
    from generator.cluster.rollout import Rollout, batches

    session = opened(factory, file=file, lab=lab, uncommitted=uncommitted, lifetime=url_lifetime)
    site, terms = session.site, Terms(drain_timeout, force)
    actions, offered = rehearse(site)
    for line in warnings(offered):
        say(f"warning: {line}")
    drifts = drifted(site.plan, site.documents, site.observed, older_than=older_than)
    unfinished = tuple(marks.read(site.server))
    leader = quorum.convene(site).leader if drifts else None
    unready = [name for name, is_ready in (site.observed.ready or {}).items() if not is_ready]
    found = batches(site.plan, drifts, unfinished, leader, unready)
    lacks = any(node.name not in site.case.here for node in site.plan.nodes)
    missing = [action for action in actions if action.changes]
    if dry_run:
        rows = [{"verb": one.verb, "nodes": one.nodes, "why": one.why} for one in found]
        click.echo(json.dumps(rows, indent=2) if as_json else "\n".join(map(str, (*missing, *found))))
        return
    if not found and not missing:
        say("every node is as it is described: nothing is to be done")
        return
    for due in (*missing, *found):
        say(f"  {due}")
    leaving = [node for batch in found for node in batch.nodes]
    if force:
        say_what_is_given_up(site, leaving)
    else:
        raise_all(problem for node in leaving for problem in lost_data(site, node))
    ask(yes=yes, question=f"Roll out, {len(found)} steps?", undone="not rolled out; nothing was changed")
    started = time.monotonic()
    goes_on = "what was done stays done: `gen rollout` goes on"
    course = Course(found)
    with working(site, timeout=timeout, goes_on=goes_on, tells=True, as_json=as_json, course=course) as work:
        engine, table, keep = work
        for batch, steps in Rollout(terms, Assembly(table.say, keep), Gate(site.plan, table.say)).steps(
            found, lacks=lacks
        ):
            if batch is not None:
                course.begin()
                left = math.ceil(course.left_seconds / 60)
                table.say(f"[{course.now}/{len(found)}] {batch}; about {left} min for what is left")
            engine.run(steps)
        course.end()
    if found:
        say(course.table())
    say(f"rolled out in {round(time.monotonic() - started)} s; `gen status` shows the cluster")
