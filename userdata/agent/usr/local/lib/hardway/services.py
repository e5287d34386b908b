"""Probes what pods of this node need beyond other pods: DNS, the API at its Service address, and the outside."""

from __future__ import annotations

import os
import socket
import ssl
import struct
from collections.abc import Callable, Iterator, Mapping
from ipaddress import ip_network
from typing import Any
from urllib.parse import urlsplit

from hardway import here, kube, peers
from hardway.here import Failure

SECONDS = 3.0
DNS_PORT, HTTPS_PORT = 53, 443
DNS_SERVICE = "/api/v1/namespaces/kube-system/services/kube-dns"
CA = "/etc/kubernetes/pki/ca.crt"
ANSWER_BYTES = 4096
OK = 200
RCODES = {1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 5: "REFUSED"}


def probe(facts: dict[str, Any], roster: dict[str, Any]) -> dict[str, str | None]:
    """Try each; give by its name what is wrong, None where nothing is. What the cluster does not have is left out."""
    found: dict[str, str | None] = {}
    for name, check in CHECKS.items():
        try:
            trouble = "; ".join(check(facts, roster)) or None
        except LookupError:
            continue
        except (Failure, OSError) as failure:
            trouble = str(failure)
        found[name] = trouble
    return found


def dns(facts: dict[str, Any], roster: dict[str, Any]) -> Iterator[str]:
    """Ask the cluster's DNS for the API's name, as a pod does.

    Raises:
        LookupError: the cluster has no DNS.
    """
    try:
        status, _ = kube.api("GET", DNS_SERVICE, seconds=SECONDS)
    except Failure:
        status = None
    if status == kube.NOT_KNOWN:
        raise LookupError("kube-dns")
    if status != OK:
        yield "the API does not say whether there is DNS"
        return
    services, domain = ip_network(roster["founding"]["services"]), roster["founding"]["domain"]
    server, name = str(services[10]), f"kubernetes.default.svc.{domain}"
    ident = int.from_bytes(os.urandom(2), "big")
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.bind((peers.gateway(facts["pod_cidr"]), 0))
            asking.connect((server, DNS_PORT))
            asking.settimeout(SECONDS)
            asking.send(question(ident, name))
            said = asking.recv(ANSWER_BYTES)
    except TimeoutError:
        yield f"{server} does not answer: no pod of DNS is ready, or the way to it is cut"
        return
    except OSError as error:
        yield f"{server} can't be asked: {error.strerror or error}"
        return
    address = answer(said, ident)
    if address != str(services[1]):
        yield f"{server} says {address} for {name}, not {services[1]}"


def question(ident: int, name: str) -> bytes:
    """Write a question for an address."""
    labels = b"".join(bytes((len(label),)) + label.encode() for label in name.split("."))
    return struct.pack("!6H", ident, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", 1, 1)


def answer(said: bytes, ident: int) -> str:
    """Read the address that an answer has, or in a word why it has none."""
    if len(said) < 12:
        return "nothing"
    whose, flags, _, answers, authorities, more = struct.unpack("!6H", said[:12])
    if whose != ident:
        return "what nobody asked"
    if flags & 15:
        return RCODES.get(flags & 15, f"error {flags & 15}")
    # An address is the end of its record, and nothing was asked for that would come after.
    return socket.inet_ntoa(said[-4:]) if answers and not authorities + more else "nothing"


def service(facts: dict[str, Any], roster: dict[str, Any]) -> Iterator[str]:
    """Verify the API's certificate at its Service address, and that of each API server for that address."""
    address = str(ip_network(roster["founding"]["services"])[1])
    try:
        _verify((address, HTTPS_PORT), address, peers.gateway(facts["pod_cidr"]))
    except ssl.SSLCertVerificationError:
        pass  # whose it is shows below
    except OSError as error:
        yield f"{address} does not answer: {error.strerror or error}"
    for node in roster["nodes"]:
        if node["role"] != "control-plane" or not node["endpoint"]:
            continue
        try:
            _verify((node["address"], facts["api_port"]), address, facts["address"])
        except ssl.SSLCertVerificationError as error:
            names = _names((node["address"], facts["api_port"]), facts["address"])
            why = f"it is for {', '.join(names)}" if names else error.verify_message
            yield f"the API's certificate on {node['name']} does not hold for {address}: {why}"
        except OSError:
            pass  # a server that is down is no fault of the paths, and others say so


def egress(facts: dict[str, Any], _: dict[str, Any]) -> Iterator[str]:
    """Connect to where the roster comes from, as a pod and as this node."""
    where = urlsplit(here.launch()["roster_url"])
    host, port = str(where.hostname), where.port or HTTPS_PORT
    sources = {"pods": peers.gateway(facts["pod_cidr"]), "this node": None}
    blocked = {}
    for name, source in sources.items():
        try:
            _connected((host, port), source).close()
        except OSError as error:
            blocked[name] = f"{error.strerror or error}"
    if "pods" in blocked:
        also = "nor does this node" if "this node" in blocked else "this node does: are their packets translated?"
        yield f"pods do not reach {host}: {blocked['pods']}; {also}"


def _connected(target: tuple[str, int], source: str | None) -> socket.socket:
    return socket.create_connection(target, SECONDS, (source, 0) if source else None)


def _verify(target: tuple[str, int], name: str, source: str) -> None:
    context = ssl.create_default_context(cafile=str(here.at(CA)))
    with _connected(target, source) as plain, context.wrap_socket(plain, server_hostname=name):
        pass


def _names(target: tuple[str, int], source: str) -> list[str]:
    """Give the names in a server's certificate, if one of our authority has signed it."""
    context = ssl.create_default_context(cafile=str(here.at(CA)))
    context.check_hostname = False
    try:
        with _connected(target, source) as plain, context.wrap_socket(plain) as secure:
            found: Any = secure.getpeercert()
    except OSError:
        return []
    return [str(name) for _, name in found.get("subjectAltName", ())]


# In the order in which they are told; each gives what is wrong.
CHECKS: Mapping[str, Callable[[dict[str, Any], dict[str, Any]], Iterator[str]]] = {
    "dns": dns,
    "service": service,
    "egress": egress,
}
