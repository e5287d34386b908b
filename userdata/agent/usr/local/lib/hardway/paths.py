"""Probes how pods of this node reach those of each peer, and names what is in the way."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

from hardway import here, mesh, peers, reach
from hardway.here import Failure
from hardway.peers import Peer
from hardway.reach import Echo

# WireGuard shakes hands again after two minutes as long as there is anything to say, and there always is.
# Source: https://www.wireguard.com/papers/wireguard.pdf, section 6.1
STALE_SECONDS = 180


def probe(facts: dict[str, Any], roster: dict[str, Any]) -> list[dict[str, Any]]:
    """Try the way from this node's pods to those of each peer.

    Gives for each its name, whether packets and connections come back, the largest packet that does, and the `cause`
    where that is less than it should be.
    """
    own, others = peers.gateway(facts["pod_cidr"]), peers.others(facts, roster)
    targets = {peer["name"]: peers.gateway(peer["pod_cidr"]) for peer in others}
    small = reach.answered(Echo(own, target) for target in targets.values())
    whole = reach.answered(Echo(own, echo.target, facts["mtu"]) for echo in small)
    alive = {echo.target for echo in small}
    full = {echo.target for echo in whole}
    sizes = reach.largest(((own, target) for target in alive - full), facts["mtu"])
    connected = reach.refused((own, target) for target in alive)
    silent = [peer for peer in others if targets[peer["name"]] not in alive]
    causes = dict(_silences(facts, silent, others)) if silent else {}
    found = []
    for peer in others:
        target = targets[peer["name"]]
        mtu = facts["mtu"] if target in full else sizes.get((own, target))
        is_connected = (own, target) in connected
        cause = causes.get(peer["name"]) or _less(facts["mtu"], mtu, is_connected)
        found.append({"peer": peer["name"], "icmp": target in alive, "tcp": is_connected, "mtu": mtu, "cause": cause})
    return found


def _less(planned: int, mtu: int | None, is_connected: bool) -> str | None:
    """Say what is less than it should be where small packets pass."""
    found = []
    if mtu != planned:
        found.append(f"MTU {planned} too large, {mtu} passes")
    if not is_connected:
        found.append("ICMP passes, TCP does not: a packet filter is in the way")
    return "; ".join(found) or None


def _silences(facts: dict[str, Any], silent: list[Peer], others: list[Peer]) -> Iterator[tuple[str, str]]:
    """Name for each silent peer what is in the way: what its other addresses answer to ours tells it."""
    try:
        device, droplet = peers.nic(facts)
    except Failure as failure:
        yield from ((peer["name"], str(failure)) for peer in silent)
        return
    asked = [echo for peer in silent for echo in _questions(facts, droplet, peer).values()]
    planned = [Echo(facts["address"], peer["address"]) for peer in others]
    heard = reach.answered([*asked, *planned])
    if facts["datapath"] == "vpc":
        passes = any(echo in heard for echo in planned)
        for peer in silent:
            yield peer["name"], _route(facts, peer, device) or _in_vpc(facts, peer, droplet, device, heard, passes)
        return
    handshakes, endpoints = mesh.handshakes(), mesh.endpoints()
    for peer in silent:
        met, where = handshakes.get(peer["wireguard"], 0), endpoints.get(peer["wireguard"]) or peer["endpoint"]
        yield peer["name"], _unmet(facts, met, where) or _route(facts, peer, mesh.DEVICE) or _met(facts, peer, heard)


def _questions(facts: dict[str, Any], droplet: str, peer: Peer) -> dict[str, Echo]:
    """List what else may be asked of a peer: its droplet, the node by its planned address, its pods, and from where."""
    own, theirs = peers.gateway(facts["pod_cidr"]), peers.gateway(peer["pod_cidr"])
    found = {
        "node": Echo(facts["address"], peer["address"]),
        "its pods from the node": Echo(facts["address"], theirs),
        "the node from pods": Echo(own, peer["address"]),
    }
    if peer["endpoint"]:
        found["droplet"] = Echo(droplet, peer["endpoint"])
        found["the node from the droplet"] = Echo(droplet, peer["address"])
    return found


def _unmet(facts: dict[str, Any], met: int, where: str | None) -> str | None:
    if met and time.time() - met <= STALE_SECONDS:
        return None
    if met:
        return f"no handshake from {where} since {time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(met))}"
    if where:
        return f"no handshake with {where}: it is down, or UDP {facts['wireguard_port']} is blocked"
    return "the roster has no endpoint for it, and it has not called"


def _route(facts: dict[str, Any], peer: Peer, device: str) -> str | None:
    """Say whether what is sent to a peer or its pods leaves by another way than the planned one."""
    for place, target in zip(peers.behind(peer), (peer["address"], peers.gateway(peer["pod_cidr"])), strict=True):
        if facts["datapath"] == "vpc" and not peer["endpoint"]:
            return "the roster does not say where it is"
        try:
            found = json.loads(here.run("ip", "-json", "route", "get", target, "from", facts["address"]))[0]
        except Failure:
            return f"there is no route to {place}"
        wanted = peer["endpoint"] if facts["datapath"] == "vpc" else None
        if (found.get("dev"), found.get("gateway")) != (device, wanted):
            via = f"{found.get('dev')} via {found['gateway']}" if "gateway" in found else found.get("dev")
            return f"there is no route to {place}: packets leave by {via}"
    return None


def _met(facts: dict[str, Any], peer: Peer, heard: set[Echo]) -> str:
    if _questions(facts, "", peer)["node"] not in heard:
        return f"it shook hands, but {peer['address']} does not answer"
    return _pods_alone(facts, peer, heard)


def _in_vpc(facts: dict[str, Any], peer: Peer, droplet: str, device: str, heard: set[Echo], passes: bool) -> str:
    """Tell a droplet that is down from a node that isn't up, a way back that is missing, and frames that are dropped.

    A node answers a droplet's own address from its planned one; so what comes back then has passed the VPC.
    """
    asked = _questions(facts, droplet, peer)
    if asked["node"] in heard:
        return _pods_alone(facts, peer, heard)
    if asked["droplet"] not in heard:
        return f"{peer['endpoint']} does not answer in the VPC: it is down, or a firewall is in the way"
    if asked["the node from the droplet"] in heard:
        return f"{peer['name']} has no route back to {facts['address']}"
    if passes:
        return f"{peer['endpoint']} answers, {peer['address']} does not: its hardway-mesh.service is not up"
    return f"frames with pod addresses are dropped on {device}: {peer['endpoint']} answers, {peer['address']} does not"


def _pods_alone(facts: dict[str, Any], peer: Peer, heard: set[Echo]) -> str:
    """Say which direction is cut where the nodes themselves reach each other."""
    asked = _questions(facts, "", peer)
    there, back = asked["its pods from the node"] in heard, asked["the node from pods"] in heard
    if there and not back:
        return f"{peer['name']} has no route back to {facts['pod_cidr']}"
    if back and not there:
        return f"{peer['address']} answers, {peers.gateway(peer['pod_cidr'])} does not"
    return f"{peer['address']} answers, but packets between pods are dropped"
