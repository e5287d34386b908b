"""Makes, changes and shows the emulated account's firewalls, and says what they let through for a droplet."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_network
from typing import Any

from generator.lab.account import tags
from generator.lab.account.account import Account, Droplet, Firewall, Refusal, not_found, timestamp, unprocessable
from generator.lab.policy import DropletPolicy, Rule
from generator.lab.state import anchor

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9.-]+")
_PROTOCOLS = ("tcp", "udp", "icmp")
_PEERS = ("addresses", "droplet_ids", "tags", "load_balancer_uids", "kubernetes_ids")
_MOST_RULES, _MOST_DROPLETS, _MOST_TAGS, _MOST_ADDRESSES = 50, 10, 5, 1000
"""Source: https://docs.digitalocean.com/products/networking/firewalls/details/limits/"""


def create(account: Account, body: Mapping[str, Any], now: float) -> Firewall:
    """Make a firewall; the tags it names must exist already."""
    firewall = _checked(account, account.new_uuid(), body, now)
    if any(other.name == firewall.name for other in account.firewalls.values()):
        raise Refusal(409, "conflict", "duplicate name")
    account.firewalls[firewall.id] = firewall
    return firewall


def find(account: Account, identifier: str) -> Firewall:
    """Find a firewall or answer 404."""
    try:
        return account.firewalls[identifier]
    except KeyError:
        raise not_found() from None


def replace(account: Account, identifier: str, body: Mapping[str, Any], now: float) -> Firewall:
    """Replace all of a firewall; what isn't given is reset."""
    old = find(account, identifier)
    firewall = _checked(account, old.id, body, now)
    if any(other.name == firewall.name for other in account.firewalls.values() if other is not old):
        raise Refusal(409, "conflict", "duplicate name")
    firewall.created = old.created
    account.firewalls[identifier] = firewall
    return firewall


def delete(account: Account, identifier: str) -> None:
    """Delete a firewall; its droplets are open again unless another one covers them."""
    find(account, identifier)
    del account.firewalls[identifier]


def change(account: Account, identifier: str, part: str, body: Mapping[str, Any], now: float, *, add: bool) -> None:
    """Add or take away droplets (`droplets`), tags (`tags`) or rules (`rules`)."""
    old = find(account, identifier)
    keys = {"droplets": ("droplet_ids",), "tags": ("tags",), "rules": ("inbound_rules", "outbound_rules")}[part]
    changed: dict[str, Any] = {
        "name": old.name,
        "inbound_rules": old.inbound_rules,
        "outbound_rules": old.outbound_rules,
        "droplet_ids": old.droplet_ids,
        "tags": old.tags,
    }
    for key in keys:
        given = body.get(key) or []
        if part == "rules":
            given = [_rule(account, rule, "sources" if key == "inbound_rules" else "destinations") for rule in given]
        kept = [entry for entry in changed[key] if entry not in given]
        changed[key] = [*kept, *given] if add else kept
    replace(account, identifier, changed, now)


def shape(account: Account, firewall: Firewall, now: float) -> dict[str, Any]:
    """Give the API's object; while droplets get the rules, the changes are pending."""
    pending = [
        {"droplet_id": droplet.id, "removing": False, "status": "waiting"}
        for droplet in covered(account, firewall)
        if now < firewall.settled
    ]
    return {
        "id": firewall.id,
        "name": firewall.name,
        "status": "waiting" if pending else "succeeded",
        "inbound_rules": firewall.inbound_rules,
        "outbound_rules": firewall.outbound_rules,
        "created_at": timestamp(firewall.created),
        "droplet_ids": firewall.droplet_ids,
        "tags": firewall.tags,
        "pending_changes": pending,
    }


def covered(account: Account, firewall: Firewall) -> list[Droplet]:
    """List the droplets a firewall applies to."""
    return [
        droplet
        for droplet in account.living()
        if droplet.id in firewall.droplet_ids or set(droplet.tags) & set(firewall.tags)
    ]


def policy(account: Account, droplet: Droplet) -> DropletPolicy | None:
    """Give all that firewalls let through for a droplet, or nothing when no firewall covers it, so that it is open.

    Several firewalls add up. A tag stands for the public and private addresses of its droplets.
    """
    over = [firewall for firewall in account.firewalls.values() if droplet in covered(account, firewall)]
    if not over:
        return None
    inbound = [_enforced(account, rule, rule["sources"]) for firewall in over for rule in firewall.inbound_rules]
    outbound = [_enforced(account, rule, rule["destinations"]) for firewall in over for rule in firewall.outbound_rules]
    return DropletPolicy(_addresses(droplet), tuple(inbound), tuple(outbound))


def _enforced(account: Account, rule: Mapping[str, Any], peers: Mapping[str, Any]) -> Rule:
    ports = None
    if rule["ports"] != "0":
        first, _, last = str(rule["ports"]).partition("-")
        ports = (int(first), int(last or first))
    droplets = [account.droplets[number] for number in peers.get("droplet_ids", ()) if number in account.droplets]
    for tag in peers.get("tags", ()):
        droplets += account.tagged(tag)
    networks = [ip_network(address) for address in peers.get("addresses", ())]
    networks += [IPv4Network(address) for droplet in droplets for address in _addresses(droplet)]
    unique = sorted({network for network in networks if isinstance(network, IPv4Network)})
    return Rule(rule["protocol"], ports, tuple(unique))


def _addresses(droplet: Droplet) -> tuple[IPv4Address, ...]:
    public = IPv4Address(droplet.public_address)
    return public, IPv4Address(droplet.vpc_address), anchor(droplet.region, public).ip


def _checked(account: Account, identifier: str, body: Mapping[str, Any], now: float) -> Firewall:
    name = body.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise unprocessable("name is invalid")
    inbound = [_rule(account, rule, "sources") for rule in body.get("inbound_rules") or ()]
    outbound = [_rule(account, rule, "destinations") for rule in body.get("outbound_rules") or ()]
    if not inbound and not outbound:
        raise unprocessable("must specify at least one rule")
    if len(inbound) + len(outbound) > _MOST_RULES:
        raise unprocessable(f"firewall must not have more than {_MOST_RULES} rules")
    numbers, names = list(body.get("droplet_ids") or ()), list(body.get("tags") or ())
    if len(numbers) > _MOST_DROPLETS or len(names) > _MOST_TAGS:
        raise unprocessable(f"firewall must not have more than {_MOST_DROPLETS} droplets and {_MOST_TAGS} tags")
    _known(numbers, account.droplets.__contains__, "droplet")
    _known(names, lambda tag: tags.spelling(account, tag) in account.tags, "tag")
    settled = now + account.lag(account.unkind.firewall_lag)
    return Firewall(identifier, name, inbound, outbound, numbers, names, created=now, settled=settled)


def _known(values: Iterable[Any], exists: Callable[[Any], bool], kind: str) -> None:
    missing = [str(value) for value in values if not exists(value)]
    if missing:
        raise unprocessable(f"{kind} not found: {', '.join(missing)}")


def _rule(account: Account, rule: object, side: str) -> dict[str, Any]:
    if not isinstance(rule, Mapping) or rule.get("protocol") not in _PROTOCOLS:
        raise unprocessable("invalid protocol, must be one of tcp, udp, icmp")
    peers = rule.get(side)
    if not isinstance(peers, Mapping) or not any(peers.get(kind) for kind in _PEERS):
        raise unprocessable(f"rule must have at least one of {side}")
    addresses = [_address(address) for address in peers.get("addresses") or ()]
    if len(addresses) > _MOST_ADDRESSES:
        raise unprocessable(f"rule must not have more than {_MOST_ADDRESSES} addresses")
    _known(peers.get("tags") or (), lambda tag: tags.spelling(account, tag) in account.tags, "tag")
    _known(peers.get("droplet_ids") or (), account.droplets.__contains__, "droplet")
    kept = {kind: peers[kind] for kind in _PEERS if peers.get(kind)}
    if addresses:
        kept["addresses"] = addresses
    return {"protocol": rule["protocol"], "ports": _ports(rule), side: kept}


def _address(text: object) -> str:
    try:
        network: IPv4Network | IPv6Network = ip_network(str(text))
    except ValueError:
        raise unprocessable(f"invalid address: {text}") from None
    if isinstance(network, IPv4Network) and network.prefixlen == 32:
        return str(IPv4Address(network.network_address))
    return str(network)


def _ports(rule: Mapping[str, Any]) -> str:
    ports = str(rule.get("ports") or "")
    if rule["protocol"] == "icmp" or ports in ("0", "all", "1-65535"):
        return "0"
    bounds = ports.split("-")
    numbers = [int(bound) if bound.isdecimal() else 0 for bound in bounds]
    if len(numbers) > 2 or not all(1 <= number <= 65535 for number in numbers) or numbers[0] > numbers[-1]:
        raise unprocessable(f"invalid ports: {ports}")
    return ports
