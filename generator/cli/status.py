"""`gen status`: shows how the nodes are and what a launch would do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from generator.cli.options import (
    Factory,
    connect,
    file_option,
    json_option,
    lab_option,
    min_days_option,
    print_json,
    say,
    say_what_ends,
    say_who_debugs,
)
from generator.cli.session import observing
from generator.cli.table import text_table
from generator.plan.project import Project

if TYPE_CHECKING:
    from generator.cluster.inquiry import Survey, View
    from generator.cluster.observed import Observed
    from generator.cluster.observer import Observer
    from generator.cluster.status import ClusterStatus
    from generator.plan.decide import Plan

MOST_UNWELL = 60
"""Lines about nodes that are not well: each says several."""


@click.command()
@file_option
@lab_option
@click.option("--ask", is_flag=True, help="Ask each control-plane node what it sees of etcd and of its peers.")
@click.option("--paths", "show_paths", is_flag=True, help="Have the paths between pods probed, and show them.")
@click.option("--timeline", "draws", is_flag=True, help="Show the steps of the nodes' boots on one clock instead.")
@click.option("--svg", type=click.Path(path_type=Path, dir_okay=False), help="Also draw the timeline into a file.")
@min_days_option
@json_option
@click.pass_obj
def status(
    factory: Factory | None,
    *,
    file: Path,
    lab: str | None,
    ask: bool,
    show_paths: bool,
    draws: bool,
    svg: Path | None,
    min_days: int | None,
    as_json: bool,
) -> int:
    """Show how the nodes are, the next expiry, and what a launch would do.

    Exits 1 when a node is not ready or lives otherwise than described, addons are not applied or are broken, something
    is to be done, or a certificate ends in fewer days than `--min-days`; with `--paths` when one of them is blocked,
    too.
    """
    from generator.clock import Clock
    from generator.cluster import access
    from generator.cluster.channel import Channel
    from generator.cluster.crowd import few
    from generator.cluster.diff import diff
    from generator.cluster.inquiry import inquire, survey
    from generator.cluster.launchable import digests
    from generator.cluster.state_store import StateStore
    from generator.cluster.status import assess, reported, warnings
    from generator.cluster.ways import faults
    from generator.pki.store import operator_key, report_keys

    project = Project.load(file)
    connection = connect(factory, lab=lab)
    plan = project.plan
    documents = digests(project)
    observer = observing(project, connection)
    observed = observer.look()
    if draws or svg:
        return _timeline(project, observer, observed, svg, as_json=as_json)
    actions = diff(plan, documents, observed)
    daily = access.expiry(project.keys_path)
    kept, old = StateStore(project, connection).words(observed.time) if observed.roster else ((), ())
    seen = assess(plan, project.inventory, documents, observed, actions, observer.address, daily, kept)
    views: tuple[View, ...] = ()
    found: Survey | None = None
    if (ask or show_paths) and observer.server:
        reports = report_keys(project.keys_path, project.known_nodes)
        channel = Channel(plan.cluster_id, observer.server, operator_key(project.keys_path), reports, Clock())
        views = inquire(channel, plan) if ask else ()
        found = survey(channel, plan, reported(plan, observed)) if show_paths else None
        seen = replace(seen, paths=tuple(faults(found.ways))) if found else seen
    elif ask or show_paths:
        say("warning: no API server answers, so no node can be asked")
    if as_json:
        more = {"views": [*map(asdict, views)]} if ask else {}
        print_json({**asdict(seen), "whole": seen.whole, **more, **({"survey": asdict(found)} if found else {})})
    else:
        click.echo("\n".join([_text(seen), *_view_lines(views), *(_survey_lines(plan, found) if found else ())]))
        for warning in few((*warnings(plan, observed, seen), *old)):
            say(f"warning: {warning}")
    say_who_debugs(project)
    short = say_what_ends(project, min_days)
    is_open = not show_paths or (found is not None and not found.silent and not seen.paths)
    return 0 if seen.whole and not short and is_open else 1


def _timeline(project: Project, observer: Observer, observed: Observed, svg: Path | None, *, as_json: bool) -> int:
    """Show the boots, and the launch that made the nodes."""
    from generator.cluster import trail
    from generator.cluster.timeline import timeline
    from generator.cluster.timeline_brief import brief, rest
    from generator.cluster.timeline_svg import drawing
    from generator.cluster.timeline_text import facts, lines
    from generator.errors import Problem
    from generator.files import write_atomic

    found = timeline(project.plan, observed, trail.read(observer.server) if observer.server else ())
    if found is None:
        hint = "a node tells it once it has its secrets; `gen status` shows how the nodes are"
        raise Problem("no node tells of its boot", where=project.plan.name, hint=hint)
    if svg is not None:
        write_atomic(svg, drawing(brief(found)).encode())
    if as_json:
        print_json(facts(found))
    else:
        click.echo("\n".join([*lines(brief(found)), *rest(found)]))
    return 0


def _text(status: ClusterStatus) -> str:
    from generator.cluster.crowd import few
    from generator.cluster.status import condensed

    rows = [
        (
            *(one.node, one.droplet or "-", one.public or "-", one.private or "-"),
            *(one.kubernetes, one.phase, one.heard or "-", one.age or "-"),
        )
        for one in condensed(status.nodes)
    ]
    addons = "applied" if status.addons else "not applied" if status.api else "unknown"
    lines = [
        text_table(("NODE", "DROPLET", "PUBLIC", "VPC", "KUBERNETES", "PHASE", "HEARD", "AGE"), rows),
        f"API {status.api or 'does not answer'}, addons {addons}",
        f"roster {status.roster_generation or 'none'}, etcd {status.etcd or 'none'}"
        + (f", members {', '.join(status.members)}" if status.members else ""),
        *(f"etcd: {alarm}" for alarm in status.alarms),
    ]
    for one in status.own_addons:
        lines.append(f"addon {one}")
        lines += [f"addon {one.name}: keeps {kept}, which left it" for kept in one.kept]
        if one.more:
            lines.append(
                f"addon {one.name}: keeps {one.more} more, named once addons are applied after these are deleted"
            )
    if status.etcd_mib:
        lines.append(f"etcd has {status.etcd_mib[0]} of {status.etcd_mib[1]} MiB")
    lines += [f"kept {line}" for line in status.kept]
    if status.expiry:
        lines.append(f"next expiry {status.expiry[0]}, {status.expiry[1]}")
    if status.kubeconfig:
        lines.append(f"kubeconfig until {status.kubeconfig}")
    lines += few(f"volume {line}" for line in status.volumes)
    lines += few(f"sealed bundle {line}" for line in status.bundles)
    lines += few(f"note: {line}" for line in status.notes)
    lines += few(status.unwell, MOST_UNWELL)
    lines += few(status.paths)
    lines += few(f"rollout would mend: {line}" for line in status.drift)
    return "\n".join([*lines, *few(f"launch would {line}" for line in status.pending)])


def _view_lines(views: Iterable[View]) -> Iterator[str]:
    """Say what each control-plane node sees, a line each, and a line for what is wrong."""
    for view in views:
        if view.etcd is not None:
            role = "learner" if view.etcd.learner else "leader" if view.etcd.leader == view.etcd.member else "follower"
            reached = f"reaches {view.ways.reached} peers" if view.ways else "says nothing of its peers"
            yield f"{view.node}: etcd {role}, {len(view.etcd.members)} members; {reached}"
            yield from (f"{view.node}: etcd: {fault}" for fault in (*view.etcd.alarms, view.etcd.trouble) if fault)
        yield from (
            f"{view.node}: pods of {one.peer} {one.sentence}" for one in (view.ways.faults if view.ways else ())
        )
        if view.trouble:
            yield f"{view.node}: {view.trouble}"


def _survey_lines(plan: Plan, survey: Survey) -> Iterator[str]:
    """Show who reaches whose pods, and who says nothing of it."""
    from generator.cluster.ways import matrix

    yield ""
    yield text_table(*matrix([node.name for node in plan.nodes], survey.ways))
    yield from (f"{node}: {why}" for node, why in survey.silent.items())
    if survey.reported:
        yield f"{', '.join(survey.reported)}: as last reported, in the minute before"
