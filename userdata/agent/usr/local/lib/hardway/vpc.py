"""Leads to the peers by plain routes through the VPC: to each by the address that the provider gave it."""

from __future__ import annotations

import json
from typing import Any

from hardway import here, peers
from hardway.peers import Peer

APPLIED = "/run/hardway/vpc.json"


def exists() -> bool:
    """Tell whether routes have been laid in this boot."""
    return here.at(APPLIED).exists()


def create(facts: dict[str, Any]) -> None:
    """Have the planned address, and let planned addresses in from the VPC's interface, and from no other."""
    device, _ = peers.nic(facts)
    here.run("ip", "address", "replace", f"{facts['address']}/32", "dev", "lo")
    # Who asks for a neighbour asks as the droplet: the provider knows no planned address.
    here.at(f"/proc/sys/net/ipv4/conf/{device}/arp_announce").write_text("2")
    here.run("nft", "add", "element", "inet", "hardway", "vpc", f'{{ "{device}" }}')


def follow(roster: dict[str, Any]) -> None:
    """Make the routes what the roster says."""
    facts = here.facts()
    device, _ = peers.nic(facts)
    wanted = peers.others(facts, roster)
    for command in commands(wanted, here.read(APPLIED) or [], device, facts["address"]):
        here.run(*command)
    here.write(APPLIED, json.dumps(wanted))


def commands(wanted: list[Peer], before: list[Peer], device: str, address: str) -> list[list[str]]:
    """List what leads from the peers before to those wanted; each command may be repeated.

    Who has no droplet is unreachable, at once and for sure: its last address may be somebody else's by now.
    """
    kept = {place for peer in wanted for place in peers.behind(peer)}
    gone = sorted({place for peer in before for place in peers.behind(peer)} - kept)
    found = [["ip", "route", "flush", place] for place in gone]
    for peer in wanted:
        way = ["via", peer["endpoint"], "dev", device, "src", address] if peer["endpoint"] else []
        kind = [] if way else ["unreachable"]
        found += [["ip", "route", "replace", *kind, place, *way] for place in peers.behind(peer)]
    return found


def known(_: list[Peer]) -> set[str]:
    """Name the peers that have said themselves where they are: nobody does."""
    return set()
