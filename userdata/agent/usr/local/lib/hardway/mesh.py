"""Builds the mesh: wg0, its peers, and the routes to their addresses and pods."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from typing import Any

from hardway import here
from hardway.here import Failure, Terminal

DEVICE = "wg0"
KEY = "/etc/hardway/wireguard.key"
APPLIED = "/run/hardway/mesh.json"
DISCARD = 9

Peer = dict[str, Any]


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
    wanted = peers(facts, roster)
    for command in commands(wanted, here.read(APPLIED) or [], facts["wireguard_port"]):
        here.run(*command)
    here.write(APPLIED, json.dumps(wanted))


def peers(facts: dict[str, Any], roster: dict[str, Any]) -> list[Peer]:
    """List the nodes of the roster but this one."""
    return [peer for peer in roster["nodes"] if peer["name"] != facts["node"]]


def commands(wanted: list[Peer], before: list[Peer], port: int) -> list[list[str]]:
    """List what leads from the peers before to those wanted; each command may be repeated.

    An endpoint is set only where the roster's has changed, for WireGuard may have learnt a newer one.
    """
    endpoints = {peer["wireguard"]: peer["endpoint"] for peer in before}
    kept = {place for peer in wanted for place in behind(peer)}
    gone = sorted({place for peer in before for place in behind(peer)} - kept)
    found = [["ip", "route", "flush", place, "dev", DEVICE] for place in gone]
    for key in sorted(endpoints.keys() - {peer["wireguard"] for peer in wanted}):
        found.append(["wg", "set", DEVICE, "peer", key, "remove"])
    for peer in wanted:
        key, endpoint, places = peer["wireguard"], peer["endpoint"], behind(peer)
        command = ["wg", "set", DEVICE, "peer", key, "persistent-keepalive", "25", "allowed-ips", ",".join(places)]
        if endpoint and endpoint != endpoints.get(key):
            command += ["endpoint", f"{endpoint}:{port}"]
        found.append(command)
        found += [["ip", "route", "replace", place, "dev", DEVICE] for place in places]
    return found


def behind(peer: Peer) -> tuple[str, str]:
    """Give what is reached through a peer."""
    return f"{peer['address']}/32", peer["pod_cidr"]


def met() -> set[str]:
    """Give the keys of the peers that have ever shaken hands."""
    lines = [line.split() for line in here.run("wg", "show", DEVICE, "latest-handshakes").splitlines()]
    return {key for key, when in lines if when != "0"}


def unknown(facts: dict[str, Any], roster: dict[str, Any]) -> list[str]:
    """Name the control-plane nodes that neither the roster nor a handshake says where they are.

    A cluster that exists may lack some of them for long; then one that is known is enough.
    """
    known = met()
    others = [peer for peer in peers(facts, roster) if peer["role"] == "control-plane"]
    lost = [peer["name"] for peer in others if not peer["endpoint"] and peer["wireguard"] not in known]
    return [] if roster["etcd"]["state"] == "existing" and len(lost) < len(others) else lost


def probe() -> None:
    """Say of each peer how it is reached, or why it can't be."""
    for peer, cause in paths():
        print(f"{peer}: {cause or 'answers through the mesh'}", flush=True)
        if cause:
            here.console(f"hardway {here.facts()['node']}: {peer}: {cause}")


def paths() -> Iterator[tuple[str, str | None]]:
    """Try the way to each peer; give its name, and what is in the way."""
    facts, known = here.facts(), met()
    links = json.loads(here.run("ip", "-json", "-4", "address", "show"))
    own = [ip_address(address["local"]) for link in links for address in link["addr_info"]]
    is_inside = any(address in ip_network(facts["vpc"]) for address in own)
    for peer in peers(facts, here.read(here.ROSTER)):
        cause: str | None
        if not is_inside:
            cause = f"this droplet has no address in the VPC {facts['vpc']}"
        elif peer["wireguard"] in known:
            cause = _silence(peer["address"])
        elif peer["endpoint"]:
            cause = f"no handshake with {peer['endpoint']}: it is down, or UDP {facts['wireguard_port']} is blocked"
        else:
            cause = "the roster has no endpoint for it, and it has not called"
        yield peer["name"], cause


def _silence(address: str) -> str | None:
    """Knock where nobody listens: a refusal proves the way there and back."""
    try:
        socket.create_connection((address, DISCARD), timeout=3).close()
    except ConnectionRefusedError:
        return None
    except OSError as error:
        return f"it shook hands, but {address} does not answer: {error}"
    return None
