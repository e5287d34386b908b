"""The table of ports, by the kernel: packets of every source to every port meet the rules that a node loads.

A node's interfaces are made in network namespaces of the test's own, with each network for pods. What passed the rules
is seen by chains that come after them; so a packet counts whose answer would go elsewhere too.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from ipaddress import ip_network
from typing import Literal, get_args

import pytest

from generator.documents import user_data
from generator.plan import ports
from generator.plan.decide import Network, Plan
from generator.plan.node import Node

from .. import facts
from ..conftest import TESTS

PLAN = facts.load(TESTS / "clusters" / "one-control-plane-two-workers.yaml").plan
NODES = (PLAN.control_planes[0], PLAN.workers[0])
# By which interface of the node its pods' packets come: one of many, with Cilium.
POD_INTERFACES: dict[Network, str] = {"bridge": "cni0", "cilium": "lxc0f3a"}
RULES = "/etc/hardway/nftables.conf"
STRANGER, PUBLIC, METADATA = "203.0.113.9", "203.0.113.1", "169.254.169.254"
# Nobody planned these: SSH, names, RPC, the kubelet's old port, a node port, what a pod on the host's network may take.
UNPLANNED = {("tcp", number) for number in (22, 53, 111, 1024, 8080, 10255, 30080)} | {("udp", 53), ("udp", 8472)}
EVERY = sorted(
    {(port.protocol, port.number) for port in ports.PORTS}
    | {(port.protocol, port.pod) for port in ports.PORTS if port.pod}
    | UNPLANNED
)

# The last chains of all: they see what every other has let through.
WITNESS = """
table ip witness {
  set seen { type ipv4_addr . inet_proto . inet_service; flags dynamic; }
  chain input {
    type filter hook input priority 200
    meta l4proto { tcp, udp } ct state new add @seen { ip saddr . meta l4proto . th dport }
  }
  chain forward {
    type filter hook forward priority 200
    meta l4proto { tcp, udp } ct state new add @seen { ip saddr . meta l4proto . th dport }
  }
}
"""
# The first word of a connection to each port, from an address and an interface; nobody waits for an answer.
KNOCK = """
import json, socket, sys
device, source, target, every, sport = json.loads(sys.argv[1])
kept = []
for protocol, number in every:
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    knock = socket.socket(socket.AF_INET, kind)
    knock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if device:
        knock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
    if source:
        knock.bind((source, sport if protocol == "udp" else 0))
    knock.setblocking(False)
    knock.connect_ex((target, number))
    if protocol == "udp":
        knock.send(b"knock")
    kept.append(knock)
"""


@dataclass(frozen=True)
class Caller:
    """Who calls: by which interface of the node, from which address, and as what of the table it counts."""

    device: str
    source: str
    target: str
    counts_as: frozenset[ports.Source]
    source_port: int = 0
    forwarded: Literal["nothing", "what is published", "everything"] | None = None
    """What passes of that which is for somebody else than the node itself."""


def plan_of(network: Network) -> Plan:
    return replace(PLAN, addons=(network, *PLAN.addons[1:]))


def callers(node: Node, network: Network) -> dict[str, Caller]:
    pods = POD_INTERFACES[network]
    peer = next(one for one in PLAN.nodes if one is not node)
    vpc = str(PLAN.vpc[99])
    none: frozenset[ports.Source] = frozenset()
    # What anyone may reach, a peer and a pod may reach too.
    anyone = frozenset[ports.Source](("anyone", "operators"))
    behind: Literal["nothing", "what is published"] = "nothing" if network == "bridge" else "what is published"
    own, bridge, planned = str(node.pod_cidr[7]), str(node.gateway), str(node.address)
    return {
        "a stranger": Caller("eth0", STRANGER, PUBLIC, anyone),
        "a DHCP server": Caller("eth0", STRANGER, PUBLIC, anyone | {"link"}, 67),
        "a droplet of the VPC": Caller("eth1", vpc, str(PLAN.vpc[1]), anyone | {"vpc"}),
        "a peer": Caller("wg0", str(peer.address), planned, anyone | {"nodes"}),
        "a pod of this node": Caller(pods, own, planned, anyone | {"pods"}),
        "a pod of this node, by its gateway": Caller(pods, own, bridge, anyone | {"pods"}),
        "a pod of this node, by the public address": Caller(pods, own, PUBLIC, anyone | {"pods"}),
        "a pod of a peer": Caller("wg0", str(peer.pod_cidr[7]), planned, anyone | {"pods"}),
        "a pod as a peer": Caller(pods, str(peer.address), planned, none),
        "a pod as a droplet": Caller(pods, vpc, planned, none),
        "a pod as a peer's pod": Caller(pods, str(peer.pod_cidr[7]), planned, none),
        "a pod, by loopback": Caller(pods, own, "127.0.0.1", none),
        "a stranger as a peer": Caller("eth0", str(peer.address), PUBLIC, none),
        "a stranger as a pod": Caller("eth0", str(peer.pod_cidr[7]), PUBLIC, none),
        "a stranger, by the planned address": Caller("eth0", STRANGER, planned, none),
        "a droplet as a peer": Caller("eth1", str(peer.address), str(PLAN.vpc[1]), none),
        "a droplet, by the planned address": Caller("eth1", vpc, planned, none),
        # Cilium has translated what is for a port of the node's before these rules see it: then it is a pod's.
        "a stranger, to a pod": Caller("eth0", STRANGER, own, none, forwarded=behind),
        "a droplet, to a pod": Caller("eth1", vpc, own, none, forwarded=behind),
        "a stranger as a pod, to a pod": Caller("eth0", str(peer.pod_cidr[7]), own, none, forwarded="nothing"),
        "a droplet as a peer, to a pod": Caller("eth1", str(peer.address), own, none, forwarded="nothing"),
        "a pod of a peer, to a pod": Caller("wg0", str(peer.pod_cidr[7]), own, none, forwarded="everything"),
        "a pod, to the world": Caller(pods, own, STRANGER, none, forwarded="everything"),
        "a pod, to the metadata service": Caller(pods, own, METADATA, none, forwarded="nothing"),
        "a peer's pod, to the metadata service": Caller(
            "wg0", str(peer.pod_cidr[7]), METADATA, none, forwarded="nothing"
        ),
    }


def planned_for(caller: Caller, node: Node) -> set[tuple[str, int]]:
    if caller.forwarded is not None:
        published = {("tcp", number) for number in PLAN.published}
        return {"nothing": set(), "what is published": published, "everything": set(EVERY)}[caller.forwarded]
    rows = ports.of(node.role, PLAN.datapath)
    return {(row.protocol, row.number) for row in rows if caller.counts_as & set(row.sources)}


@dataclass(frozen=True)
class Wires:
    """Two namespaces: the node's, and the one of all who call."""

    node: str
    world: str

    def inside(self, namespace: str, *command: str, text: str | None = None) -> str:
        done = subprocess.run(
            ["nsenter", f"--net={namespace}", *command], input=text, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def passed(self, caller: Caller) -> set[tuple[str, int]]:
        """Let somebody knock everywhere; give what passed the rules."""
        self.inside(self.node, "nft", "flush", "set", "ip", "witness", "seen")
        device = "" if caller.device == "lo" else f"{caller.device}w"
        what = json.dumps([device, caller.source, caller.target, EVERY, caller.source_port])
        self.inside(self.node if not device else self.world, sys.executable, "-c", KNOCK, what)
        found = json.loads(self.inside(self.node, "nft", "-j", "list", "set", "ip", "witness", "seen"))
        elements = next(item["set"].get("elem", []) for item in found["nftables"] if "set" in item)
        rows = [element["concat"] for element in elements]
        # By this caller alone; what answers has another address.
        return {(protocol, number) for source, protocol, number in rows if source == (caller.source or caller.target)}


@contextmanager
def wired(node: Node, network: Network, rules: str) -> Iterator[Wires]:
    with ExitStack() as stack:
        places = []
        for _ in range(2):
            holder = stack.enter_context(
                subprocess.Popen(["unshare", "--net", "sh", "-c", "echo; exec sleep infinity"], stdout=subprocess.PIPE)
            )
            stack.callback(holder.kill)
            assert holder.stdout is not None
            holder.stdout.readline()
            places.append(f"/proc/{holder.pid}/ns/net")
        wires = Wires(*places)
        addresses = {
            "eth0": (f"{PUBLIC}/24",),
            "eth1": (f"{PLAN.vpc[1]}/{PLAN.vpc.prefixlen}",),
            "wg0": (f"{node.address}/32",),
            POD_INTERFACES[network]: (f"{node.gateway}/24",),
        }
        everyone = callers(node, network)
        wires.inside(wires.node, "ip", "link", "set", "lo", "up")
        for device, own in addresses.items():
            pid = wires.world.split("/")[2]
            wires.inside(
                wires.node, "ip", "link", "add", device, "type", "veth", "peer", "name", f"{device}w", "netns", pid
            )
            for address in own:
                wires.inside(wires.node, "ip", "address", "add", address, "dev", device)
            wires.inside(wires.node, "ip", "link", "set", device, "up")
            wires.inside(wires.world, "ip", "link", "set", f"{device}w", "up")
            for source in sorted({one.source for one in everyone.values() if one.device == device}):
                wires.inside(wires.world, "ip", "address", "add", f"{source}/32", "dev", f"{device}w")
            # Whatever is called by this interface is behind it, loopback too.
            mac = json.loads(wires.inside(wires.node, "ip", "-json", "link", "show", device))[0]["address"]
            for target in sorted({one.target for one in everyone.values() if one.device == device}):
                wires.inside(wires.world, "ip", "neighbour", "add", target, "lladdr", mac, "dev", f"{device}w")
        for index, device in enumerate(addresses):
            wires.inside(
                wires.world,
                "ip",
                "route",
                "add",
                "default",
                "dev",
                f"{device}w",
                "metric",
                f"{index + 1}",
                "scope",
                "link",
            )
        for one in PLAN.nodes:
            if one is not node:
                for place in (f"{one.address}/32", str(one.pod_cidr)):
                    wires.inside(wires.node, "ip", "route", "add", place, "dev", "wg0")
        wires.inside(wires.node, "ip", "route", "add", "169.254.0.0/16", "dev", "eth0")
        for name, value in (("conf.all.rp_filter", 2), ("conf.all.route_localnet", 1), ("ip_forward", 1)):
            wires.inside(wires.node, "sysctl", "-qw", f"net.ipv4.{name}={value}")
        wires.inside(wires.world, "sysctl", "-qw", "net.ipv4.conf.all.route_localnet=1")
        # Twice, as at a restart: one table, and nothing doubled.
        for text in (rules, rules, WITNESS):
            wires.inside(wires.node, "nft", "-f", "-", text=text)
        yield wires


def rules_of(plan: Plan, node: Node) -> str:
    return {str(file.path): file.content for file in user_data.files(plan, node)}[RULES]


@pytest.fixture(scope="module", params=NODES, ids=lambda node: node.role)
def node(request: pytest.FixtureRequest) -> Node:
    one: Node = request.param
    return one


@pytest.fixture(scope="module", params=get_args(Network))
def network(request: pytest.FixtureRequest) -> Network:
    one: Network = request.param
    return one


@pytest.fixture(scope="module")
def wires(node: Node, network: Network) -> Iterator[Wires]:
    _able()
    with wired(node, network, rules_of(plan_of(network), node)) as found:
        yield found


def _able() -> None:
    if os.geteuid() != 0 or not all(map(shutil.which, ("nft", "ip", "unshare", "nsenter"))):
        pytest.skip("needs root, and nft")


@pytest.mark.parametrize("name", callers(NODES[0], "bridge"))
def test_each_caller_reaches_what_is_planned_and_nothing_else(
    wires: Wires, node: Node, network: Network, name: str
) -> None:
    caller = callers(node, network)[name]
    assert wires.passed(caller) == planned_for(caller, node)


def test_while_somebody_debugs_sshd_is_reached_from_their_networks_and_from_nowhere_else(
    node: Node, network: Network
) -> None:
    _able()
    debugged = facts.debugged(replace(plan_of(network), api_access=(ip_network(f"{STRANGER}/32"),)))
    with wired(node, network, rules_of(debugged, node)) as wires:
        for name, caller in callers(node, network).items():
            theirs = {("tcp", 22)} if name in ("a stranger", "a DHCP server") else set()
            assert wires.passed(caller) == planned_for(caller, node) | theirs, name


def test_the_node_itself_reaches_everything(wires: Wires, node: Node) -> None:
    for target in ("127.0.0.1", str(node.address), PUBLIC):
        assert wires.passed(Caller("lo", "", target, frozenset())) == set(EVERY)


def test_without_the_rules_everybody_would(node: Node, network: Network) -> None:
    _able()
    with wired(node, network, "") as bare:
        for name, caller in callers(node, network).items():
            assert bare.passed(caller) == set(EVERY), name


def test_it_is_one_table_and_closed(wires: Wires) -> None:
    listed = json.loads(wires.inside(wires.node, "nft", "-j", "list", "ruleset"))["nftables"]
    assert [(item["table"]["family"], item["table"]["name"]) for item in listed if "table" in item] == [
        ("inet", "hardway"),
        ("ip", "witness"),
    ]
    chains = [item["chain"] for item in listed if "chain" in item]
    (own,) = (chain for chain in chains if (chain["table"], chain["name"]) == ("hardway", "input"))
    assert own["policy"] == "drop"
