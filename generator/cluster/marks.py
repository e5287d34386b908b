"""Marks in the cluster itself which nodes are being replaced: whoever goes on after a kill finds them there.

A mark names the droplet that has to go. It lies where only administrators and control-plane nodes may write, and is
removed when the replacement is through.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from generator.clock import moment, stamp
from generator.cluster.channel import NAMESPACE, PLACE
from generator.cluster.kube_api import Kube, NotYet
from generator.cluster.kube_objects import ConfigMap, listed

PREFIX = "replacement-"


@dataclass(frozen=True)
class Mark:
    """A replacement that is not through: `droplet` is the number of the one that has to go, 0 where there was none."""

    node: str
    droplet: int
    begun: datetime


def read(server: Kube) -> Mapping[str, Mark]:
    """Give each node's mark, by its name; what can't be read is none.

    Raises:
        NotYet: the API server does not list them.
    """
    found = {}
    for one in listed(server, ConfigMap, PLACE):
        node, data = one.metadata.name.removeprefix(PREFIX), one.data or {}
        if node != one.metadata.name:
            try:
                found[node] = Mark(node, int(data["droplet"]), moment(data["begun"]))
            except (KeyError, ValueError):
                continue
    return found


def write(server: Kube, mark: Mark) -> None:
    """Write a mark; one that is there already holds.

    Raises:
        NotYet: the API server does not take it.
    """
    name = f"{PREFIX}{mark.node}"
    data = {"droplet": str(mark.droplet), "begun": stamp(mark.begun)}
    metadata = {"name": name, "namespace": NAMESPACE}
    made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
    if not server.create(PLACE, made) and mark.node not in read(server):
        hint = f"is the namespace `{NAMESPACE}` there? it comes with the first addons: `gen launch`"
        raise NotYet("the API server does not take the mark of a replacement", where=mark.node, hint=hint)


def remove(server: Kube, node: str) -> None:
    """Remove a mark, if it is there."""
    server.delete(f"{PLACE}/{PREFIX}{node}")
