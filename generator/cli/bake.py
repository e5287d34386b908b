"""`gen bake`: makes a droplet's snapshot that holds what the lock pins, so that nodes fetch nothing at their boot."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from generator.catalogue import DEBIAN_13
from generator.cli.options import (
    Factory,
    connect,
    end_on_signal,
    file_option,
    json_option,
    lab_option,
    print_json,
    say,
    today,
)
from generator.cli.session import ask, yes_option
from generator.errors import Problem
from generator.plan import baking
from generator.plan.project import Project
from generator.release import baked

if TYPE_CHECKING:
    from generator.bake.oven import Oven
    from generator.provider.resources import Snapshot


@click.command()
@file_option
@lab_option
@click.option("--anew", is_flag=True, help="Make another one, though one is there: with the distribution as of today.")
@click.option("--prune", is_flag=True, help="Delete the snapshots that the description does not name, and make none.")
@yes_option
@json_option
@click.pass_obj
def bake(
    factory: Factory | None, *, file: Path, lab: str | None, anew: bool, prune: bool, yes: bool, as_json: bool
) -> None:
    """Make a snapshot with everything in place that the lock pins, for `image` in the description.

    A small droplet fetches files and images, takes away what is its own, and is copied and deleted. There is no secret
    in it, and a node believes none of its files: each is checked by its digest. It costs until it is deleted: `--prune`
    asks before it deletes those that this description does not name. Can be interrupted and run again.
    """
    from generator.bake.oven import GOES_ON, Oven
    from generator.clock import Clock
    from generator.cluster.launch_lock import LaunchLock
    from generator.lab.display import Display
    from generator.provider.digitalocean import Cloud
    from generator.provider.spaces import Spaces

    end_on_signal()
    started, clock = time.monotonic(), Clock()
    project = Project.load(file, today=today(), with_own=False)
    plan, content = project.plan, baking.content(project.plan, project.release)
    connection = connect(factory, lab=lab)
    spaces = Spaces(connection, bucket=plan.spaces_bucket, region=plan.spaces_region)
    oven = Oven(plan, content, baking.size(plan), Cloud(connection, clock), spaces, clock)
    if prune:
        _prune(oven, yes=yes, as_json=as_json)
        return
    there = () if anew else oven.finished()
    if there:
        if oven.left():
            with LaunchLock(spaces, plan.name, clock, say) as lock:
                oven.keep = lock.keep
                oven.clean()
        _tell(oven, there[-1], made_now=False, seconds=time.monotonic() - started, as_json=as_json)
        return
    oven.check()
    for line in _promises(oven):
        say(f"  {line}")
    ask(yes=yes, question="Bake?", undone="not baked; nothing was made")
    if not spaces.bucket_exists():
        spaces.create_bucket()
    try:
        with Display() as display, LaunchLock(spaces, plan.name, clock, display.say) as lock:
            oven.show, oven.keep = display.step, lock.keep
            made = oven.bake()
    except KeyboardInterrupt:
        say(f"what was made stays: {GOES_ON}")
        raise
    _tell(oven, made, made_now=True, seconds=time.monotonic() - started, as_json=as_json)


def _promises(oven: Oven) -> list[str]:
    """Say what is made, and what it costs."""
    content, size = oven.content, oven.size
    files = len(content.artifacts) + len(content.packages)
    return [
        f"1 droplet {size.slug} for some minutes, $0.01; removed at the end",
        f"1 snapshot {content.name} of {DEBIAN_13.slug} with {files} files and {len(content.images)} images:"
        f" ${baking.monthly(1):.2f} a month for each GB, which it says at the end",
    ]


def _tell(oven: Oven, made: Snapshot, *, made_now: bool, seconds: float, as_json: bool) -> None:
    name = oven.content.name.at(made.id)
    monthly = baking.monthly(made.gigabytes)
    facts: dict[str, Any] = {
        "version": 1,
        "image": str(name),
        "made": made_now,
        "gigabytes": made.gigabytes,
        "monthly": monthly,
        "min_disk_gib": made.min_disk,
        "region": oven.plan.region,
        "files": len(oven.content.artifacts) + len(oven.content.packages),
        "images": len(oven.content.images),
        "seconds": round(seconds),
        "api_requests": oven.cloud.requests,
    }
    if as_json:
        print_json(facts)
    else:
        click.echo(f"image: {name}")
    state = f"is made ({seconds:.0f} s)" if made_now else "is there already"
    say(f"{name.name} {state}: {made.gigabytes:.2f} GB, ${monthly:.2f} a month until it is deleted")
    if oven.plan.image != str(name):
        say("next: put this line into the description and commit; what is made from then on is made of it")


def _prune(oven: Oven, *, yes: bool, as_json: bool) -> None:
    """Delete every baked snapshot that the description doesn't name."""
    from generator.cluster.kinds import image

    named = baked.read(oven.plan.image)
    there = image.every(oven.cloud)
    going = image.surplus(there, [named] if named else [])
    if as_json and not yes and going:
        raise Problem("nobody is asked with `--json`", hint="`--yes` goes on without asking")
    gone = []
    for one in going:
        cost = f"{one.gigabytes:.2f} GB, ${baking.monthly(one.gigabytes):.2f} a month, of {one.created:%Y-%m-%d}"
        say(f"  {one.name}@{one.id}: {cost}")
    if going:
        ask(yes=yes, question="Delete them, for whichever clusters they were made?", undone="nothing was deleted")
    for one in going:
        oven.cloud.delete_snapshot(one)
        gone.append(f"{one.name}@{one.id}")
    if as_json:
        print_json(
            {"version": 1, "deleted": gone, "kept": [f"{one.name}@{one.id}" for one in there if one not in going]}
        )
    say(f"{len(gone)} deleted, {len(there) - len(gone)} kept")
