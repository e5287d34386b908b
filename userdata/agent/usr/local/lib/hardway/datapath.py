"""Leads to the other nodes and their pods, as the document says: through the mesh, or straight through the VPC."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from hardway import here, mesh, peers, vpc

WAYS: dict[str, ModuleType] = {"mesh": mesh, "vpc": vpc}
CILIUM = ("cilium_host", "cilium_net")


def chosen(facts: dict[str, Any]) -> Any:
    """Give the module that leads there."""
    return WAYS[facts["datapath"]]


def create(facts: dict[str, Any]) -> None:
    """Make it, and have this node's own address among its pods, which answers before any of them is there."""
    chosen(facts).create(facts)
    own = f"{peers.gateway(facts['pod_cidr'])}/32"
    if facts["network"] != "cilium":
        here.run("ip", "address", "replace", own, "dev", "lo")
        return
    # Cilium takes over the pair that it finds, with the address: that of this scope is the node's, and no pod's.
    if not here.at(f"/sys/class/net/{CILIUM[0]}").exists():
        here.run("ip", "link", "add", CILIUM[0], "type", "veth", "peer", "name", CILIUM[1])
    here.run("ip", "address", "replace", own, "dev", CILIUM[0], "scope", "link")
    for device in CILIUM:
        here.run("ip", "link", "set", device, "up")


def follow(roster: dict[str, Any]) -> None:
    """Make the ways what the roster says."""
    chosen(here.facts()).follow(roster)


def exists() -> bool:
    """Tell whether it has been made in this boot."""
    return bool(chosen(here.facts()).exists())


def is_followed(roster: dict[str, Any]) -> bool:
    """Tell whether the ways are what the roster says."""
    facts = here.facts()
    # What was applied is compared, not what was known: another step may have read the roster first.
    return bool(here.read(chosen(facts).APPLIED) == peers.others(facts, roster))


def unknown(facts: dict[str, Any], roster: dict[str, Any]) -> list[str]:
    """Name the control-plane nodes of which neither the roster nor they themselves say where they are.

    A cluster that exists may lack some of them for long; then one that is known is enough.
    """
    others = [peer for peer in peers.others(facts, roster) if peer["role"] == "control-plane"]
    known = chosen(facts).known(others)
    lost = [peer["name"] for peer in others if not peer["endpoint"] and peer["name"] not in known]
    return [] if roster["etcd"]["state"] == "existing" and len(lost) < len(others) else lost
