"""What is said of nodes in trouble: of a few all, of a crowd as much as anybody reads."""

from __future__ import annotations

import io
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from generator.cluster.kinds.kind import Case
from generator.cluster.launchable import Documents
from generator.cluster.node_report import Failure, Phase, Progress
from generator.cluster.observed import DROPLETS, Observed, Report
from generator.cluster.phase_table import PhaseTable
from generator.cluster.watch import MOST_TOLD, OTHERS, PATIENCE, Watch
from generator.errors import Problems
from generator.provider.resources import Droplet
from tests.keyring import NOW, planned

BORN = NOW - timedelta(minutes=2)


def failing(nodes: int) -> Any:
    """Give a site where every node's phase has failed."""
    plan = planned(control_planes=3, workers=nodes - 3)
    droplets = tuple(
        Droplet(node.number, node.name, "active", "fra1", node.size, (plan.node_tag(node),), BORN, "v", "1", "2")
        for node in plan.nodes
    )
    failure = Failure("kubelet.service", ("no room",))
    reports = {
        node.name: Report(NOW, Progress(node.name, 1, (Phase("kubelet", "failed"),), failure, node.number), True)
        for node in plan.nodes
    }
    observed = Observed(NOW, reports, ready={}).having(DROPLETS, droplets)
    return SimpleNamespace(plan=plan, leaving=frozenset(), case=Case(plan, Documents({}, "a"), observed))


def told(site: Any) -> tuple[list[str], Problems]:
    out = io.StringIO()
    watch = Watch(PhaseTable(Console(file=out, width=200)), NOW + timedelta(hours=1))
    watch.show(site)
    watch.stop_on_failure(site)
    later = site.case.observed.time + PATIENCE
    plan, documents, observed = site.case.plan, site.case.documents, site.case.observed
    moved = Observed(later, observed.reports, ready={}).having(DROPLETS, observed.droplets)
    site.case = Case(plan, documents, moved)
    with pytest.raises(Problems) as caught:
        watch.stop_on_failure(site)
    return out.getvalue().splitlines(), caught.value


def test_of_a_few_nodes_each_is_told_of() -> None:
    lines, problems = told(failing(5))
    assert lines.count("worker02: kubelet failed, unit kubelet.service") == 1
    assert len(problems.problems) == 5
    assert OTHERS not in lines


def test_of_a_crowd_the_first_are_told_of_and_the_rest_is_counted() -> None:
    lines, problems = told(failing(200))
    assert sum(line.endswith("unit kubelet.service") for line in lines) == MOST_TOLD
    assert sum("kubelet.service failed: no room" in line for line in lines) == MOST_TOLD
    assert lines.count(OTHERS) == 2, "once while it goes on, once at its end"
    assert len(problems.problems) == MOST_TOLD + 1
    assert problems.problems[-1].message == f"a phase of {200 - MOST_TOLD} more nodes failed"
    assert len(lines) < 120
