"""Builds the mesh: wg0, its peers, and the routes to their addresses and pods."""

from __future__ import annotations

import json
import shutil
from typing import Any

from hardway import here, peers
from hardway.here import Failure, Terminal
from hardway.peers import Peer

DEVICE = "wg0"
KEY = "/etc/hardway/wireguard.key"
APPLIED = "/run/hardway/mesh.json"


def exists() -> bool:
    """Tell whether the device is there."""
    return here.at(f"/sys/class/net/{DEVICE}").exists()


def create(facts: dict[str, Any]) -> None:
    """Make the device: the kernel's, or where it has none, that of wireguard-go."""
    if not exists():
        here.at(APPLIED).unlink(missing_ok=True)
        try:
            here.run("ip", "link", "add", DEVICE, "type", "wireguard")
        except Failure as error:
            if "Unknown device type" not in str(error) and "not supported" not in str(error):
                raise
            if not shutil.which("wireguard-go"):
                raise Terminal(f"the kernel has no WireGuard ({error}), and there is no `wireguard-go`") from None
            here.run("wireguard-go", DEVICE)
    here.run("wg", "set", DEVICE, "private-key", str(here.at(KEY)), "listen-port", str(facts["wireguard_port"]))
    here.run("ip", "address", "replace", f"{facts['address']}/32", "dev", DEVICE)
    here.run("ip", "link", "set", DEVICE, "mtu", str(facts["mtu"]), "up")


def follow(roster: dict[str, Any]) -> None:
    """Make peers and routes what the roster says."""
    facts = here.facts()
    wanted = peers.others(facts, roster)
    for command in commands(wanted, here.read(APPLIED) or [], facts["wireguard_port"]):
        here.run(*command)
    here.write(APPLIED, json.dumps(wanted))


def commands(wanted: list[Peer], before: list[Peer], port: int) -> list[list[str]]:
    """List what leads from the peers before to those wanted; each command may be repeated.

    An endpoint is set only where the roster's has changed, for WireGuard may have learnt a newer one.
    """
    endpoints = {peer["wireguard"]: peer["endpoint"] for peer in before}
    kept = {place for peer in wanted for place in peers.behind(peer)}
    gone = sorted({place for peer in before for place in peers.behind(peer)} - kept)
    found = [["ip", "route", "flush", place, "dev", DEVICE] for place in gone]
    for key in sorted(endpoints.keys() - {peer["wireguard"] for peer in wanted}):
        found.append(["wg", "set", DEVICE, "peer", key, "remove"])
    for peer in wanted:
        key, endpoint, places = peer["wireguard"], peer["endpoint"], peers.behind(peer)
        command = ["wg", "set", DEVICE, "peer", key, "persistent-keepalive", "25", "allowed-ips", ",".join(places)]
        if endpoint and endpoint != endpoints.get(key):
            command += ["endpoint", f"{endpoint}:{port}"]
        found.append(command)
        found += [["ip", "route", "replace", place, "dev", DEVICE] for place in places]
    return found


def handshakes() -> dict[str, int]:
    """Give when each peer, by its key, has last shaken hands, in seconds; 0 for one that never has."""
    lines = [line.split() for line in here.run("wg", "show", DEVICE, "latest-handshakes").splitlines()]
    return {key: int(when) for key, when in lines}


def endpoints() -> dict[str, str]:
    """Give where each peer, by its key, is reached now."""
    lines = [line.split() for line in here.run("wg", "show", DEVICE, "endpoints").splitlines()]
    return {key: where.rpartition(":")[0] for key, where in lines if where != "(none)"}


def known(others: list[Peer]) -> set[str]:
    """Name the peers that have said themselves where they are, by shaking hands."""
    met = {key for key, when in handshakes().items() if when}
    return {peer["name"] for peer in others if peer["wireguard"] in met}
