"""Asks every control-plane node what it sees: of etcd, and of the ways to its peers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from generator.cluster.channel import Answer, Channel
from generator.cluster.node_report import Etcd, clean, read_etcd
from generator.plan.decide import Plan

PATIENCE = timedelta(seconds=45)
"""A way that is blocked is found out in some seconds each."""
MOST_PEERS = 500


@dataclass(frozen=True)
class View:
    """What one control-plane node sees; `blocked` has the peers that it can't reach, and why.

    `trouble` says what it did not answer.
    """

    node: str
    etcd: Etcd | None
    peers: int
    blocked: Mapping[str, str]
    trouble: str = ""


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
        found = [_path(one) for one in (paths.result if paths is not None and _is_given(paths) else [])[:MOST_PEERS]]
    except (KeyError, TypeError, ValueError, AttributeError):
        return View(node, None, 0, {}, "its answer can't be read")
    blocked = {peer: cause for peer, cause in found if cause}
    return View(node, seen, len(found), blocked, "; ".join(dict.fromkeys(trouble)))


def _is_given(answer: Answer | None) -> bool:
    return answer is not None and answer.result is not None


def _path(entry: Any) -> tuple[str, str]:
    return clean(str(entry["peer"]))[:63], clean(str(entry["cause"] or ""))[:300]
