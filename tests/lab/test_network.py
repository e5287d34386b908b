"""Sends real packets over the lab's wires: who reaches whom, what a firewall lets through, which frames are dropped."""

from __future__ import annotations

import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

import pytest

from generator.lab.machines import netns, network
from generator.lab.machines.packet_filter import apply_firewall
from generator.lab.machines.port import Port
from generator.lab.policy import DropletPolicy, Rule
from generator.lab.state import (
    ANYBODY_ADDRESS,
    METADATA_ADDRESS,
    OPERATOR_ADDRESS,
    PUBLIC_GATEWAY,
    SERVICES_ADDRESS,
    State,
)
from tests.e2e.harness import host_facts

VPC = IPv4Network("10.110.0.0/20")
OTHER_VPC = IPv4Network("10.120.0.0/24")
FIRST, PEER, STRANGER, FOREIGNER = 1, 2, 3, 4
PORTS = {
    number: Port.planned(number, IPv4Address(f"203.0.113.{100 + number}"), IPv4Interface(vpc), "fra1")
    for number, vpc in ((1, "10.110.0.9/20"), (2, "10.110.0.4/20"), (3, "10.110.0.7/20"), (4, "10.120.0.2/24"))
}
EVERYWHERE = (IPv4Network("0.0.0.0/0"),)
OPERATOR = (IPv4Network(f"{OPERATOR_ADDRESS}/32"),)
CLUSTER = tuple(IPv4Network(address) for number in (FIRST, PEER) for address in PORTS[number].addresses)
OPEN_OUTWARDS = tuple(Rule(protocol, None, EVERYWHERE) for protocol in ("tcp", "udp", "icmp"))
CLUSTER_POLICY = {
    number: DropletPolicy(
        addresses=PORTS[number].addresses,
        inbound=(
            Rule("tcp", (6443, 6443), OPERATOR),
            Rule("tcp", (80, 80), EVERYWHERE),
            Rule("tcp", (443, 443), EVERYWHERE),
            Rule("udp", (51820, 51820), CLUSTER),
            Rule("icmp", None, CLUSTER),
        ),
        outbound=OPEN_OUTWARDS,
    )
    for number in (FIRST, PEER)
}
TCP_PORTS = (22, 80, 443, 2379, 6443, 10250)
UDP_PORTS = (53, 51820)
PATIENCE = 0.4


@pytest.fixture(scope="module")
def wires(state: State) -> State:
    """Three droplets in one VPC and one in another, with their addresses set."""
    network.create(state)
    network.create(state)  # adopts what is there
    for vpc in (VPC, OTHER_VPC):
        network.add_vpc(state, vpc)
    for port in PORTS.values():
        network.attach(state, port)
        name = state.droplet_namespace(port.number)
        commands = [
            f"address add {port.public}/24 dev eth0",
            f"address add {port.vpc} dev eth1",
            "link set eth0 up",
            "link set eth1 up",
            f"route add default via {PUBLIC_GATEWAY.ip}",
        ]
        subprocess.run(["ip", "-n", name, "-batch", "-"], input="\n".join(commands), text=True, check=True)
    return state


@pytest.fixture
def open_wires(wires: State) -> Iterator[State]:
    """The same without any firewall."""
    apply_firewall(wires, {})
    yield wires
    apply_firewall(wires, {})
    network.set_antispoof(wires, True)


def tcp_listener(namespace: str, port: int) -> socket.socket:
    def make() -> socket.socket:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("0.0.0.0", port))
        listener.listen(64)
        return listener

    return netns.make(namespace, make)


def udp_socket(namespace: str, address: str, port: int) -> socket.socket:
    def make() -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.bind((address, port))
        made.setblocking(False)
        return made

    return netns.make(namespace, make)


def begin_connection(namespace: str, source: IPv4Address, target: IPv4Address, port: int) -> socket.socket:
    def make() -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        made.setblocking(False)
        made.bind((str(source), 0))
        made.connect_ex((str(target), port))
        return made

    return netns.make(namespace, make)


def is_connected(connection: socket.socket) -> bool:
    try:
        connection.getpeername()
    except OSError:
        return False
    return True


def received(receiver: socket.socket) -> set[bytes]:
    found = set()
    while True:
        try:
            found.add(receiver.recv(2048))
        except BlockingIOError:
            return found


def pings(namespace: str, target: IPv4Address) -> bool:
    """Send one echo request and say whether it was answered."""
    echo = struct.pack("!BBHHH", 8, 0, 0xF7FE, 0, 1)  # the checksum of these eight bytes
    with netns.make(namespace, lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)) as made:
        made.settimeout(PATIENCE)
        made.sendto(echo, (str(target), 0))
        try:
            while True:
                answer, sender = made.recvfrom(256)
                if sender[0] == str(target) and answer[20] == 0:
                    return True
        except TimeoutError:
            return False


def reached(lab: State) -> dict[str, set[tuple[str, int]]]:
    """Try all ports of one droplet from all sources at once."""
    tried = sources(lab)
    with ExitStack() as stack:
        for port in TCP_PORTS:
            stack.enter_context(tcp_listener(lab.droplet_namespace(FIRST), port))
        receivers = {
            port: stack.enter_context(udp_socket(lab.droplet_namespace(FIRST), "0.0.0.0", port)) for port in UDP_PORTS
        }
        connections = {
            (name, port): stack.enter_context(begin_connection(namespace, source, target, port))
            for name, (namespace, source, target) in tried.items()
            for port in TCP_PORTS
        }
        for name, (namespace, source, target) in tried.items():
            sender = stack.enter_context(udp_socket(namespace, str(source), 0))
            for port in UDP_PORTS:
                with suppress(PermissionError):  # the packet filter's word to a sender in its own namespace
                    sender.sendto(name.encode(), (str(target), port))
        time.sleep(PATIENCE)
        found: dict[str, set[tuple[str, int]]] = {name: set() for name in tried}
        for (name, port), connection in connections.items():
            if is_connected(connection):
                found[name].add(("tcp", port))
        for port, receiver in receivers.items():
            for text in received(receiver):
                found[text.decode()].add(("udp", port))
    return found


def sources(state: State) -> dict[str, tuple[str, IPv4Address, IPv4Address]]:
    target = PORTS[FIRST]
    return {
        "operator": (state.operator_namespace, OPERATOR_ADDRESS, target.public),
        "anybody": (state.operator_namespace, ANYBODY_ADDRESS, target.public),
        "services": (state.net_namespace, SERVICES_ADDRESS, target.public),
        "peer, VPC": (state.droplet_namespace(PEER), PORTS[PEER].vpc.ip, target.vpc.ip),
        "peer, public": (state.droplet_namespace(PEER), PORTS[PEER].public, target.public),
        "stranger, VPC": (state.droplet_namespace(STRANGER), PORTS[STRANGER].vpc.ip, target.vpc.ip),
        "stranger, public": (state.droplet_namespace(STRANGER), PORTS[STRANGER].public, target.public),
        "foreigner, VPC": (state.droplet_namespace(FOREIGNER), PORTS[FOREIGNER].vpc.ip, target.vpc.ip),
    }


def test_host_sees_no_interface(wires: State) -> None:
    links = " ".join(host_facts(wires)["links"])
    assert not any(word in links for word in ("br-public", "vpc-", "-pub", "eth1", "operator"))


def test_open_droplets_are_reached_from_everywhere_but_another_vpc(open_wires: State) -> None:
    everything = {*(("tcp", port) for port in TCP_PORTS), *(("udp", port) for port in UDP_PORTS)}
    found = reached(open_wires)
    # a VPC has no router: what another one sends to its addresses goes nowhere
    assert found.pop("foreigner, VPC") == set()
    assert found == dict.fromkeys(found, everything)


def test_port_matrix_of_a_cluster(open_wires: State) -> None:
    apply_firewall(open_wires, CLUSTER_POLICY)
    web = {("tcp", 80), ("tcp", 443)}
    assert reached(open_wires) == {
        "operator": web | {("tcp", 6443)},
        "anybody": web,
        "services": web,
        "peer, VPC": web | {("udp", 51820)},
        "peer, public": web | {("udp", 51820)},
        "stranger, VPC": web,
        "stranger, public": web,
        "foreigner, VPC": set(),
    }


def test_echo_requests_follow_the_rules(open_wires: State) -> None:
    apply_firewall(open_wires, CLUSTER_POLICY)
    target = PORTS[FIRST]
    assert pings(open_wires.droplet_namespace(PEER), target.vpc.ip)
    assert pings(open_wires.droplet_namespace(FIRST), OPERATOR_ADDRESS)
    assert not pings(open_wires.droplet_namespace(STRANGER), target.vpc.ip)
    assert not pings(open_wires.operator_namespace, target.public)


def test_outbound_is_denied_by_default_and_answers_pass(open_wires: State) -> None:
    somebody = (IPv4Network("28.51.100.0/24"),)
    rules = (Rule("tcp", (8000, 8999), somebody),)
    apply_firewall(open_wires, {FIRST: DropletPolicy(PORTS[FIRST].addresses, inbound=(), outbound=rules)})
    with ExitStack() as stack:
        listeners = {
            (namespace, port): stack.enter_context(tcp_listener(namespace, port))
            for namespace in (
                open_wires.operator_namespace,
                open_wires.net_namespace,
                open_wires.droplet_namespace(STRANGER),
            )
            for port in (80, 8080)
        }
        tries = {
            "allowed": (PORTS[FIRST].public, OPERATOR_ADDRESS, 8080),
            "other port": (PORTS[FIRST].public, OPERATOR_ADDRESS, 80),
            "other network": (PORTS[FIRST].public, SERVICES_ADDRESS, 8080),
            "metadata": (PORTS[FIRST].public, METADATA_ADDRESS, 80),
            "VPC": (PORTS[FIRST].vpc.ip, PORTS[STRANGER].vpc.ip, 8080),
        }
        connections = {
            name: stack.enter_context(begin_connection(open_wires.droplet_namespace(FIRST), *each))
            for name, each in tries.items()
        }
        time.sleep(PATIENCE)
        assert {name for name, each in connections.items() if is_connected(each)} == {"allowed", "metadata"}
        answering, _ = listeners[open_wires.operator_namespace, 8080].accept()
        stack.enter_context(answering)
        # a connection that stands goes on when the rules change
        apply_firewall(open_wires, {FIRST: DropletPolicy(PORTS[FIRST].addresses, inbound=(), outbound=())})
        answering.sendall(b"answer")
        connections["allowed"].setblocking(True)
        connections["allowed"].settimeout(2)
        assert connections["allowed"].recv(16) == b"answer"


def frame(source_mac: str, source: IPv4Address, text: bytes, target: Port = PORTS[FIRST]) -> bytes:
    """Build an Ethernet frame with a UDP datagram to port 9999 of the first droplet's VPC address."""

    def checksum(data: bytes) -> int:
        total = sum(struct.unpack(f"!{len(data) // 2}H", data))
        while total >> 16:
            total = (total & 0xFFFF) + (total >> 16)
        return ~total & 0xFFFF

    udp = struct.pack("!HHHH", 9999, 9999, 8 + len(text), 0) + text
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, source.packed, target.vpc.ip.packed)
    header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
    return mac(target.vpc_mac) + mac(source_mac) + b"\x08\x00" + header + udp


def arp(ether_mac: str, sender_mac: str, sender: IPv4Address) -> bytes:
    """Build an ARP announcement to everybody."""
    body = struct.pack("!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, 2, mac(sender_mac), sender.packed, b"\0" * 6, sender.packed)
    return b"\xff" * 6 + mac(ether_mac) + b"\x08\x06" + body


def mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def raw_socket(namespace: str) -> socket.socket:
    def make() -> socket.socket:
        made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0003))
        made.bind(("eth1", 0))
        made.setblocking(False)
        return made

    return netns.make(namespace, make)


STRANGE_MAC = "52:54:99:00:00:01"
OWN = PORTS[STRANGER]
POD = IPv4Address("10.42.2.17")
FRAMES = {
    "own": frame(OWN.vpc_mac, OWN.vpc.ip, b"own"),
    "pod's address": frame(OWN.vpc_mac, POD, b"pod"),
    "peer's address": frame(OWN.vpc_mac, PORTS[PEER].vpc.ip, b"peer"),
    "foreign MAC": frame(STRANGE_MAC, OWN.vpc.ip, b"mac"),
    "own ARP": arp(OWN.vpc_mac, OWN.vpc_mac, OWN.vpc.ip),
    "ARP for another": arp(OWN.vpc_mac, OWN.vpc_mac, PORTS[PEER].vpc.ip),
    "ARP with foreign MAC": arp(OWN.vpc_mac, STRANGE_MAC, OWN.vpc.ip),
    "IPv6": mac(PORTS[FIRST].vpc_mac) + mac(OWN.vpc_mac) + b"\x86\xdd" + b"\x60" + b"\0" * 60,
}


def arriving(state: State) -> set[str]:
    """Send every frame from the stranger and name those that the first droplet sees."""
    with raw_socket(state.droplet_namespace(FIRST)) as sniffer, raw_socket(state.droplet_namespace(STRANGER)) as sender:
        for each in FRAMES.values():
            sender.send(each)
        time.sleep(PATIENCE)
        seen = received(sniffer)
    return {name for name, each in FRAMES.items() if any(got.startswith(each) for got in seen)}


def test_frames_with_foreign_sources_are_dropped(open_wires: State) -> None:
    assert arriving(open_wires) == {"own", "own ARP"}


def test_dropping_can_be_switched_off_in_the_vpc(open_wires: State) -> None:
    network.set_antispoof(open_wires, False)
    assert arriving(open_wires) == set(FRAMES) - {"IPv6"}
    network.set_antispoof(open_wires, True)
    assert arriving(open_wires) == {"own", "own ARP"}


def test_a_public_address_comes_back_with_other_hardware(open_wires: State) -> None:
    old = PORTS[FOREIGNER]
    new = Port.planned(5, old.public, old.vpc, "fra1")
    assert pings(open_wires.operator_namespace, old.public)
    network.detach(open_wires, old.number)
    network.attach(open_wires, new)
    commands = f"address add {new.public}/24 dev eth0\nlink set eth0 up\nroute add default via {PUBLIC_GATEWAY.ip}\n"
    subprocess.run(["ip", "-n", open_wires.droplet_namespace(5), "-batch", "-"], input=commands, text=True, check=True)
    assert pings(open_wires.operator_namespace, new.public)
    network.detach(open_wires, new.number)


def test_attach_again_gives_a_fresh_namespace(open_wires: State) -> None:
    name = open_wires.droplet_namespace(FOREIGNER)
    network.attach(open_wires, PORTS[FOREIGNER])
    shown = subprocess.run(["ip", "-n", name, "-br", "address"], capture_output=True, text=True, check=True).stdout
    assert "10.120.0.2" not in shown
    assert "eth0" in shown
    network.detach(open_wires, FOREIGNER)
    network.detach(open_wires, FOREIGNER)
    assert name not in open_wires.namespaces
    links = subprocess.run(
        ["ip", "-n", open_wires.net_namespace, "link"], capture_output=True, text=True, check=True
    ).stdout
    assert "d4-" not in links
    network.remove_vpc(open_wires, OTHER_VPC)
    network.remove_vpc(open_wires, OTHER_VPC)
