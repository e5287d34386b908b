"""Answers 169.254.169.254 for each droplet by its source address: one JSON document, and the same as a tree."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Any

from generator.lab.account.account import Droplet
from generator.lab.machines.port import Port
from generator.lab.state import DNS_ADDRESS, PUBLIC_GATEWAY, PUBLIC_NETWORK
from generator.lab.webserver import Call, Reply

_ROOT = "/metadata/v1"


@dataclass(frozen=True)
class Facts:
    """What one droplet may know of itself."""

    droplet: Droplet
    port: Port
    public_keys: tuple[str, ...]
    vendor_data: str
    reserved: str | None = None


class Metadata:
    """Serves whoever asks with the facts of the droplet that has the caller's address, without any other check."""

    def __init__(self, find: Callable[[str], Facts | None]) -> None:
        self._find = find

    def respond(self, call: Call) -> Reply:
        """Answer one request; a directory without its slash is redirected, all that is unknown is 404.

        Source: https://docs.digitalocean.com/reference/api/metadata/
        """
        facts = self._find(call.peer)
        if facts is None or call.method not in ("GET", "HEAD"):
            return _text(404, "not found")
        if call.path == f"{_ROOT}.json":
            return Reply(200, json.dumps(document(facts)).encode(), {"content-type": "application/json"})
        found = _descend(tree(facts), call.path)
        if found is None:
            return _text(404, "not found")
        if isinstance(found, str):
            return _text(200, found)
        if not call.path.endswith("/"):
            return Reply(301, b"", {"location": f"{call.path}/"})
        return _text(
            200, "\n".join(f"{name}/" if isinstance(value, Mapping) else name for name, value in found.items())
        )


def document(facts: Facts) -> dict[str, Any]:
    """Give `v1.json`; like the real one it holds user-data, so any process on the droplet can read that."""
    droplet, port = facts.droplet, facts.port
    return {
        "droplet_id": droplet.id,
        "hostname": droplet.name,
        "user_data": droplet.user_data,
        "vendor_data": facts.vendor_data,
        "public_keys": list(facts.public_keys),
        "auth_key": hashlib.sha256(f"auth/{droplet.uuid}".encode()).hexdigest()[:32],
        "region": droplet.region,
        "interfaces": {
            "private": [{"ipv4": _private(port), "mac": port.vpc_mac, "type": "private"}],
            "public": [{"ipv4": _public(port), "anchor_ipv4": _anchor(port), "mac": port.public_mac, "type": "public"}],
        },
        "floating_ip": _reserved(facts),
        "reserved_ip": _reserved(facts),
        "dns": {"nameservers": [str(DNS_ADDRESS)]},
        "tags": list(droplet.tags),
        "features": {"dhcp_enabled": False},
        "modify_index": droplet.id,
        "dotty_status": "running",
        "ssh_info": {"port": 22},
    }


def tree(facts: Facts) -> dict[str, Any]:
    """Give the same facts as directories and texts."""
    value = document(facts)
    return {
        "id": str(value["droplet_id"]),
        "hostname": value["hostname"],
        "user-data": value["user_data"],
        "vendor-data": value["vendor_data"],
        "public-keys": "\n".join(value["public_keys"]),
        "region": value["region"],
        "interfaces": {
            kind: {str(number): _texts(interface) for number, interface in enumerate(value["interfaces"][kind])}
            for kind in ("public", "private")
        },
        "dns": {"nameservers": "\n".join(value["dns"]["nameservers"])},
        "floating_ip": {"ipv4": {name: str(one).lower() for name, one in value["floating_ip"]["ipv4"].items()}},
        "reserved_ip": {"ipv4": {name: str(one).lower() for name, one in value["reserved_ip"]["ipv4"].items()}},
        "tags": "\n".join(value["tags"]),
        "features": {"dhcp_enabled": "false"},
        "auth-token": value["auth_key"],
    }


def _texts(interface: Mapping[str, Any]) -> dict[str, Any]:
    # what is `ip_address` in the document is `address` in the tree
    return {
        name: {key.removeprefix("ip_"): text for key, text in value.items()} if isinstance(value, Mapping) else value
        for name, value in interface.items()
    }


def _private(port: Port) -> dict[str, str]:
    network: IPv4Network = port.vpc.network
    return {"ip_address": str(port.vpc.ip), "netmask": str(network.netmask), "gateway": str(network[1])}


def _anchor(port: Port) -> dict[str, str]:
    network: IPv4Network = port.anchor.network
    return {"ip_address": str(port.anchor.ip), "netmask": str(network.netmask), "gateway": str(network[1])}


def _reserved(facts: Facts) -> dict[str, Any]:
    own = {"active": True, "ip_address": facts.reserved} if facts.reserved else {"active": False}
    return {"ipv4": own}


def _public(port: Port) -> dict[str, str]:
    return {
        "ip_address": str(port.public),
        "netmask": str(PUBLIC_NETWORK.netmask),
        "gateway": str(PUBLIC_GATEWAY.ip),
    }


def _descend(value: Any, path: str) -> Any:
    if path != _ROOT and not path.startswith(f"{_ROOT}/"):
        return None
    for name in path.removeprefix(_ROOT).strip("/").split("/"):
        if not name:
            continue
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _text(status: int, text: str) -> Reply:
    return Reply(status, text.encode(), {"content-type": "text/plain; charset=utf-8"})
