"""Measures one size: renders a cluster of so many nodes and launches it among ghosts."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from generator.documents import roster
from generator.plan.names import roster_key
from generator.plan.project import Project
from tests.scale import runs
from tests.scale.figures import Figure

LONGEST = "4h"
"""By the account's clock."""


def measured(directory: Path, nodes: int, say: Callable[[str], None] = lambda _: None) -> Figure:
    """Render and launch, and tell what both took.

    Raises:
        SystemExit: one of them failed; what it said was printed.
    """
    file = runs.describe(directory / "project", nodes)
    rendering = _right(runs.gen("render", "-f", str(file)))
    project = Project.load(file)
    files = [path for path in project.rendered_path.rglob("*") if path.is_file()]
    say(f"  rendered in {rendering.seconds:.0f} s")
    with runs.haunting(directory, project) as haunt:
        world, began = haunt.world, haunt.world.now()
        launch = _right(haunt.gen("launch", "--yes", "--timeout", LONGEST))
        simulated = world.now() - began
        say(f"  launched in {launch.seconds:.0f} s, {simulated:.0f} s by the account's clock")
        asked: Counter[str] = Counter()
        for (method, path, _), count in world.asked.items():
            asked[f"{method} {path}"] += count
        key = roster_key(project.plan.public_prefix)
        published = world.store.buckets[project.plan.spaces_bucket].objects[key].body
    assert len(published) <= roster.LIMIT_BYTES
    return Figure(
        nodes=nodes,
        render_seconds=round(rendering.seconds, 1),
        render_mib=round(rendering.peak_mib, 1),
        rendered_bytes=sum(path.stat().st_size for path in files),
        document=max(path.stat().st_size for path in files if path.name == "user-data"),
        roster=len(published),
        asked=dict(sorted(asked.items())),
        limited=len(world.limited),
        stored=sum(world.stored.values()),
        simulated=round(simulated, 1),
        seconds=round(launch.seconds, 1),
        mib=round(launch.peak_mib, 1),
        lines=len(launch.err.splitlines()),
    )


def _right(run: runs.Run) -> runs.Run:
    if run.code:
        sys.exit(run.err)
    return run
