"""Two nodes of a cluster without the mesh, as network namespaces: their droplets' addresses, rules, and the agent."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from generator.documents import user_data
from generator.files import resource
from generator.plan.node import Node

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


@contextmanager
def two_nodes(directory: Path) -> Iterator[tuple[Place, Place]]:
    """Make two nodes that have found each other, as after their boot."""
    if os.geteuid() != 0 or not all(map(shutil.which, ("nft", "ip", "unshare", "nsenter"))):
        pytest.skip("needs root, and nft")
    with ExitStack() as stack:
        one, other = (_place(stack, node, directory / node.name) for node in PLAN.nodes)
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
