"""Which phases of its boot a node of each role goes through; that the node's own code agrees is tested there."""

from __future__ import annotations

from generator.cluster.node_report import PHASES

CONTROL_PLANE_ALONE = ("etcd", "api", "addons")


def phases_of(*, control_plane: bool) -> tuple[str, ...]:
    """List the phases that a node of that role goes through."""
    return tuple(name for name in PHASES if control_plane or name not in CONTROL_PLANE_ALONE)
