"""Asks every control-plane node what it sees: of etcd, and of the paths to its peers and beyond."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from generator.cluster.channel import Answer, Channel
from generator.cluster.node_report import Etcd, read_etcd
from generator.cluster.ways import Ways, read_ways
from generator.plan.decide import Plan

PATIENCE = timedelta(seconds=45)
"""A way that is blocked is found out in some seconds each."""


@dataclass(frozen=True)
class View:
    """What one control-plane node sees; `trouble` says what it did not answer."""

    node: str
    etcd: Etcd | None
    ways: Ways | None
    trouble: str = ""


@dataclass(frozen=True)
class Survey:
    """The paths between all nodes' pods, by the node that tried them; `silent` says of the others why nothing is known.

    Those of `reported` could not be asked, and have told it of themselves.
    """

    ways: Mapping[str, Ways]
    silent: Mapping[str, str]
    reported: tuple[str, ...]


def survey(channel: Channel, plan: Plan, reports: Mapping[str, Ways]) -> Survey:
    """Have all control-plane nodes probe their paths; what a worker sees is in its reports.

    Raises:
        Problem: the API server does not take a request.
    """
    asked = [node.name for node in plan.control_planes]
    answers = channel.ask("paths", asked, {}, patience=PATIENCE)
    found: dict[str, Ways] = {}
    silent: dict[str, str] = {}
    for node in plan.nodes:
        if node.name not in asked:
            if node.name in reports:
                found[node.name] = reports[node.name]
            else:
                silent[node.name] = "has not said what it reaches"
            continue
        answer = answers.get(node.name)
        try:
            found[node.name] = read_ways(answer.result if answer else None)
        except (KeyError, TypeError, ValueError, AttributeError):
            said = answer.message or "its answer can't be read" if answer else "it says nothing"
            silent[node.name] = said
    return Survey(found, silent, tuple(name for name in found if name not in asked))


def inquire(channel: Channel, plan: Plan) -> tuple[View, ...]:
    """Ask, and wait until all have answered or time is up.

    Raises:
        Problem: the API server does not take a request.
    """
    nodes = [node.name for node in plan.control_planes]
    etcd = channel.ask("etcd", nodes, {}, patience=PATIENCE)
    paths = channel.ask("paths", nodes, {}, patience=PATIENCE)
    return tuple(_view(node, etcd.get(node), paths.get(node)) for node in nodes)


def _view(node: str, etcd: Answer | None, paths: Answer | None) -> View:
    trouble = [answer.message if answer else "it says nothing" for answer in (etcd, paths) if not _is_given(answer)]
    try:
        seen = read_etcd(etcd.result) if etcd is not None and _is_given(etcd) else None
        ways = read_ways(paths.result) if paths is not None and _is_given(paths) else None
    except (KeyError, TypeError, ValueError, AttributeError):
        return View(node, None, None, "its answer can't be read")
    return View(node, seen, ways, "; ".join(dict.fromkeys(trouble)))


def _is_given(answer: Answer | None) -> bool:
    return answer is not None and answer.result is not None
