"""Writes the lab's nftables rules: what a port may send, and DigitalOcean's firewalls, enforced for one lab."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, collapse_addresses

from generator.lab.machines.port import Port
from generator.lab.policy import DropletPolicy, Rule
from generator.lab.process import run
from generator.lab.state import METADATA_ADDRESS, State, namespace_path

_ANTISPOOF_TABLE = "bridge hardway_antispoof"
_FIREWALL_TABLE = "ip hardway_firewall"
_RESERVED_TABLE = "ip hardway_reserved"
_SIZE_TABLE = "bridge hardway_size"
_ANYWHERE = IPv4Network("0.0.0.0/0")


def apply_antispoof(state: State, ports: Sequence[Port], vpc_enabled: bool) -> None:
    """Let every port send from its own addresses only; `vpc_enabled` says whether VPC ports are held to it as well."""
    _nft(state, antispoof(ports, vpc_enabled))


def apply_firewall(state: State, policy: Mapping[int, DropletPolicy]) -> None:
    """Enforce the firewalls of all droplets at once; a droplet (by number) that has no entry is open.

    Established connections go on. The metadata address is always reachable. Each packet between two droplets passes the
    sender's outbound rules and the receiver's inbound rules.
    """
    with state.locked("network"):
        _nft(state, firewall(policy))


def apply_reserved(state: State, anchors: Mapping[IPv4Address, IPv4Address]) -> None:
    """Let what is sent to reserved addresses arrive at the anchors of the droplets that have them."""
    with state.locked("network"):
        _nft(state, reserved(anchors))


def narrow(state: State, port: Port, most: int | None) -> None:
    """Drop packets of more bytes on a droplet's wire in its VPC, both ways and without a word; `None` drops none."""
    with state.locked("network"):
        _nft(state, narrowed(port, most))


def narrowed(port: Port, most: int | None) -> str:
    """Render the rules on the size of packets, or nothing in their place."""
    name = f"{_SIZE_TABLE}_{port.number}"
    if most is None:
        return f"table {name}\ndelete table {name}\n"
    ways = (("prerouting", "iifname"), ("postrouting", "oifname"))
    rules = {hook: f'    {side} "{port.vpc_name}" ether type ip ip length > {most} drop' for hook, side in ways}
    heads = {hook: f"    type filter hook {hook} priority -300; policy accept;" for hook, _ in ways}
    return _table(name, [line for hook in rules for line in (f"  chain {hook} {{", heads[hook], rules[hook], "  }")])


def reserved(anchors: Mapping[IPv4Address, IPv4Address]) -> str:
    """Render the translation of reserved addresses, before anything is routed."""
    pairs = ", ".join(f"{address} : {anchor}" for address, anchor in sorted(anchors.items()))
    rules = [f"    dnat to ip daddr map {{ {pairs} }}"] if anchors else []
    body = ["  chain prerouting {", "    type nat hook prerouting priority -100; policy accept;", *rules, "  }"]
    return _table(_RESERVED_TABLE, body)


def spoofed_frames(state: State) -> int:
    """Count the packets with a foreign source address that were dropped since a port was last plugged in or out."""
    inside = ["nsenter", f"--net={namespace_path(state.net_namespace)}"]
    argv = [*inside, "nft", "-j", "list", "table", *_ANTISPOOF_TABLE.split()]
    rules = [entry["rule"]["expr"] for entry in json.loads(run(argv))["nftables"] if "rule" in entry]
    return sum(part["counter"]["packets"] for rule in rules for part in rule if "counter" in part)


def antispoof(ports: Sequence[Port], vpc_enabled: bool) -> str:
    """Render the stateless rules on what enters a bridge."""
    chains: list[str] = []
    jumps: list[str] = []
    for port in ports:
        held: list[tuple[str, str, tuple[IPv4Address, ...]]] = [(port.public_name, port.public_mac, port.public_side)]
        if vpc_enabled:
            held.append((port.vpc_name, port.vpc_mac, (port.vpc.ip,)))
        for name, mac, addresses in held:
            own = ", ".join(map(str, addresses))
            chain = name.replace("-", "_")
            jumps.append(f'"{name}" : jump {chain}')
            chains += [
                f"  chain {chain} {{",
                f"    ether saddr != {mac} drop",
                f"    ether type arp arp saddr ether != {mac} drop",
                # 0.0.0.0 asks whether an address is taken; it claims none
                f"    ether type arp arp saddr ip != {{ {own}, 0.0.0.0 }} drop",
                f"    ether type ip ip saddr != {{ {own} }} counter drop",
                "  }",
            ]
    body = [
        *chains,
        "  chain prerouting {",
        "    type filter hook prerouting priority -300; policy accept;",
        "    ether type != { arp, ip } drop",
        *([f"    iifname vmap {{ {', '.join(jumps)} }}"] if jumps else []),
        "  }",
    ]
    return _table(_ANTISPOOF_TABLE, body)


def firewall(policy: Mapping[int, DropletPolicy]) -> str:
    """Render the stateful rules; bridged packets come by because bridge-nf-call-iptables is set in the namespace."""
    chains: list[str] = []
    senders: list[str] = []
    receivers: list[str] = []
    wired: dict[str, list[str]] = {"saddr": [], "daddr": []}
    for number, droplet in sorted(policy.items()):
        for direction, side, rules, jumps in (
            ("out", "daddr", droplet.outbound, senders),
            ("in", "saddr", droplet.inbound, receivers),
        ):
            chain = f"d{number}_{direction}"
            jumps += [f"{address} : jump {chain}" for address in droplet.addresses]
            if droplet.mac:
                wired["daddr" if direction == "in" else "saddr"].append(f"{droplet.mac} : jump {chain}")
            chains += [f"  chain {chain} {{", *_rules(rules, side), "    drop", "  }"]
    from_droplet = [f"    ip saddr vmap {{ {', '.join(senders)} }}"] if senders else []
    to_droplet = [f"    ip daddr vmap {{ {', '.join(receivers)} }}"] if receivers else []
    # inside a VPC a droplet is known by its wire: frames with the addresses of its pods pass its rules as well
    ends = [f"    ether {side} vmap {{ {', '.join(jumps)} }}" for side, jumps in wired.items() if jumps]
    known = ["    ct state established,related accept"]
    invalid = ["    ct state invalid drop"] if policy else []
    metadata = [f"    ip daddr {METADATA_ADDRESS} accept"]
    body = [
        *chains,
        *_hook("forward", [*known, *invalid, *from_droplet, *to_droplet, *ends]),
        *_hook("input", [*known, *metadata, *from_droplet]),
        *_hook("output", [*known, *to_droplet]),
    ]
    return _table(_FIREWALL_TABLE, body)


def _rules(rules: Iterable[Rule], side: str) -> list[str]:
    lines = []
    for rule in rules:
        if not rule.peers:
            continue
        # an interval set refuses overlaps, and people's lists have them
        networks = ", ".join(map(str, collapse_addresses(rule.peers)))
        peers = "" if _ANYWHERE in rule.peers else f"ip {side} {{ {networks} }} "
        if rule.protocol == "icmp":
            match = "meta l4proto icmp"
        elif rule.ports is None:
            match = f"meta l4proto {rule.protocol}"
        else:
            low, high = rule.ports
            match = f"{rule.protocol} dport {low}" if low == high else f"{rule.protocol} dport {low}-{high}"
        lines.append(f"    {peers}{match} return")
    return lines


def _hook(name: str, rules: list[str]) -> list[str]:
    return [f"  chain {name} {{", f"    type filter hook {name} priority 0; policy accept;", *rules, "  }"]


def _table(name: str, body: list[str]) -> str:
    # declared, deleted and declared again in one transaction: no packet ever meets a half-written table
    return "\n".join([f"table {name}", f"delete table {name}", f"table {name} {{", *body, "}", ""])


def _nft(state: State, rules: str) -> None:
    run(["nsenter", f"--net={namespace_path(state.net_namespace)}", "nft", "-f", "-"], text=rules)
