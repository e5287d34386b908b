"""The paths between two nodes, by the kernel: what the agent lays through the VPC, and what it says when one is cut.

Each node is a network namespace with the addresses of a droplet, the rules that its document brings, and the agent.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from generator.documents import user_data
from generator.files import resource
from generator.plan.decide import Node

from .. import facts
from ..conftest import TESTS

PLAN = facts.load(TESTS / "clusters" / "through-the-vpc.yaml").plan
HERE, THERE = PLAN.nodes
AGENT = resource("userdata") / "agent/usr/local/lib"
VPC = {HERE.name: "10.77.0.5", THERE.name: "10.77.0.9"}
RUN = """
import json, sys
from pathlib import Path
library, root, code = sys.argv[1:]
sys.path.insert(0, library)
from hardway import here
here.ROOT = Path(root)
here.console = lambda line: None
exec(code)
"""
ROSTER = {
    "founding": {"services": str(PLAN.service_cidr), "domain": PLAN.cluster_domain},
    "etcd": {"state": "existing"},
    "nodes": [
        {
            "name": node.name,
            "role": node.role,
            "address": str(node.address),
            "pod_cidr": str(node.pod_cidr),
            "wireguard": "",
            "endpoint": VPC[node.name],
        }
        for node in PLAN.nodes
    ],
}
# What a switch does that knows a droplet by the provider's address alone.
FOREIGN = f"""
table ip switch {{
  chain in {{
    type filter hook prerouting priority -400
    iifname "eth1" ip saddr != {PLAN.vpc} drop
  }}
}}
"""
NARROW = """
table ip switch {
  chain in { type filter hook prerouting priority -400; iifname "eth1" ip length > 1392 drop; }
}
"""
ICMP_ALONE = """
table ip switch {
  chain in { type filter hook prerouting priority -400; iifname "eth1" ip protocol tcp drop; }
}
"""


@dataclass(frozen=True)
class Place:
    """One node: its namespace, and where its files are."""

    node: Node
    namespace: str
    root: Path

    def run(self, *command: str, text: str | None = None) -> str:
        done = subprocess.run(
            ["nsenter", f"--net={self.namespace}", *command], input=text, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout

    def agent(self, code: str) -> Any:
        said = self.run(sys.executable, "-c", RUN, str(AGENT), str(self.root), code)
        return json.loads(said.splitlines()[-1]) if said.strip() else None

    def follow(self, roster: dict[str, Any]) -> None:
        self.agent(f"from hardway import datapath; datapath.follow(json.loads({json.dumps(roster)!r}))")

    def probed(self) -> dict[str, Any]:
        code = "from hardway import paths; print(json.dumps(paths.probe(here.facts(), here.read(here.ROSTER))))"
        (found,) = self.agent(code)
        assert isinstance(found, dict)
        return found


def _place(stack: ExitStack, node: Node, root: Path) -> Place:
    holder = stack.enter_context(
        subprocess.Popen(["unshare", "--net", "sh", "-c", "echo; exec sleep infinity"], stdout=subprocess.PIPE)
    )
    stack.callback(holder.kill)
    assert holder.stdout is not None
    holder.stdout.readline()
    files = {str(file.path): file.content for file in user_data.files(PLAN, node)}
    facts_ = root / "etc/hardway/node.json"
    facts_.parent.mkdir(parents=True)
    facts_.write_text(files["/etc/hardway/node.json"])
    roster = root / "var/lib/hardway/roster.json"
    roster.parent.mkdir(parents=True)
    roster.write_text(json.dumps(ROSTER))
    # which of them it is is the reader's namespace's matter
    settings = root / "proc/sys/net/ipv4"
    settings.mkdir(parents=True)
    (settings / "conf").symlink_to("/proc/sys/net/ipv4/conf")
    place = Place(node, f"/proc/{holder.pid}/ns/net", root)
    place.run("ip", "link", "set", "lo", "up")
    place.run("nft", "-f", "-", text=files["/etc/hardway/nftables.conf"])
    return place


@pytest.fixture
def places(tmp_path: Path) -> Iterator[tuple[Place, Place]]:
    """Two nodes that have found each other, as after their boot."""
    if os.geteuid() != 0 or not all(map(shutil.which, ("nft", "ip", "unshare", "nsenter"))):
        pytest.skip("needs root, and nft")
    with ExitStack() as stack:
        one, other = (_place(stack, node, tmp_path / node.name) for node in PLAN.nodes)
        pid = other.namespace.split("/")[2]
        for device in ("eth0", "eth1"):
            one.run("ip", "link", "add", device, "type", "veth", "peer", "name", device, "netns", pid)
        for number, place in enumerate((one, other), start=1):
            place.run("ip", "address", "add", f"203.0.113.{number}/24", "dev", "eth0")
            place.run("ip", "address", "add", f"{VPC[place.node.name]}/20", "dev", "eth1")
            for device in ("eth0", "eth1"):
                place.run("ip", "link", "set", device, "up")
            place.run("ip", "route", "add", "default", "via", "203.0.113.254", "dev", "eth0")
            place.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=2")
        for place in (one, other):
            place.agent("from hardway import datapath; datapath.create(here.facts())")
            place.follow(ROSTER)
        yield one, other


def test_full_packets_and_connections_pass_between_pods(places: tuple[Place, Place]) -> None:
    for place, other in (places, places[::-1]):
        assert place.probed() == {"peer": other.node.name, "icmp": True, "tcp": True, "mtu": 1500, "cause": None}


def test_whoever_asks_for_a_neighbour_asks_as_the_droplet(places: tuple[Place, Place]) -> None:
    watch = "table arp watch { chain in { type filter hook input priority 0; arp saddr ip != 10.77.0.0/20 counter; }; }"
    places[1].run("nft", "-f", "-", text=watch)
    places[0].run("ip", "neighbour", "flush", "all")
    assert places[0].probed()["icmp"]
    assert "packets 0 " in places[1].run("nft", "list", "table", "arp", "watch")


Break = Callable[[Place, Place], object]
BROKEN: dict[str, tuple[Break, str, str]] = {
    # what is done, and what each of the two says
    "frames with foreign sources are dropped": (
        lambda one, other: [place.run("nft", "-f", "-", text=FOREIGN) for place in (one, other)],
        f"frames with pod addresses are dropped on eth1: {VPC[THERE.name]} answers, {THERE.address} does not",
        f"frames with pod addresses are dropped on eth1: {VPC[HERE.name]} answers, {HERE.address} does not",
    ),
    "no route to the pods": (
        lambda one, _: one.run("ip", "route", "delete", str(THERE.pod_cidr)),
        f"there is no route to {THERE.pod_cidr}: packets leave by eth0 via 203.0.113.254",
        f"{HERE.name} has no route back to {THERE.pod_cidr}",
    ),
    "no route at all": (
        lambda one, _: [
            one.run("ip", "route", "delete", place) for place in (f"{THERE.address}/32", str(THERE.pod_cidr))
        ],
        f"there is no route to {THERE.address}/32: packets leave by eth0 via 203.0.113.254",
        f"{HERE.name} has no route back to {THERE.address}",
    ),
    "packets of full size are lost": (
        lambda one, other: [place.run("nft", "-f", "-", text=NARROW) for place in (one, other)],
        "MTU 1500 too large, 1392 passes",
        "MTU 1500 too large, 1392 passes",
    ),
    "connections are lost": (
        lambda one, other: [place.run("nft", "-f", "-", text=ICMP_ALONE) for place in (one, other)],
        "ICMP passes, TCP does not: a packet filter is in the way",
        "ICMP passes, TCP does not: a packet filter is in the way",
    ),
    "the other droplet is down": (
        lambda _, other: other.run("ip", "address", "flush", "dev", "eth1"),
        f"{VPC[THERE.name]} does not answer in the VPC: it is down, or a firewall is in the way",
        f"this droplet has no address in the VPC {PLAN.vpc}",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_in_the_way_is_named(places: tuple[Place, Place], name: str) -> None:
    action, *said = BROKEN[name]
    action(*places)
    assert [place.probed()["cause"] for place in places] == said


def test_a_peer_that_comes_back_elsewhere_is_reached_there(places: tuple[Place, Place]) -> None:
    one, other = places
    gone = {**ROSTER, "nodes": [node | {"endpoint": None} for node in ROSTER["nodes"]]}
    one.follow(gone)
    assert one.run("ip", "route", "show", "type", "unreachable").split() == [
        *("unreachable", str(THERE.pod_cidr)),
        *("unreachable", str(THERE.address)),
    ]
    other.run("ip", "address", "flush", "dev", "eth1")
    other.run("ip", "address", "add", "10.77.0.77/20", "dev", "eth1")
    moved = {**ROSTER, "nodes": [ROSTER["nodes"][0], ROSTER["nodes"][1] | {"endpoint": "10.77.0.77"}]}
    for place in places:
        (place.root / "var/lib/hardway/roster.json").write_text(json.dumps(moved))
        place.follow(moved)
    assert [place.probed()["cause"] for place in places] == [None, None]


def test_a_peer_that_left_has_no_routes(places: tuple[Place, Place]) -> None:
    one, _ = places
    one.follow({**ROSTER, "nodes": ROSTER["nodes"][:1]})
    assert str(THERE.address) not in one.run("ip", "route", "show", "table", "all")
    assert "10.42.1." not in one.run("ip", "route", "show", "table", "all")
