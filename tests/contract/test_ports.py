"""The table of ports, by what listens: each unit and configuration has its rows, and nobody else lets anything in."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest
import yaml

from generator.cluster.kinds import firewall
from generator.documents import addons, user_data
from generator.plan import ports
from generator.plan.decide import Plan
from generator.plan.node import Node
from generator.plan.ports import Port

from .. import facts
from ..conftest import TESTS
from ..described import TUTORIAL
from . import binaries

PLAN = facts.load(TESTS / "clusters" / "one-control-plane-two-workers.yaml").plan
NODES = (PLAN.control_planes[0], PLAN.workers[0])
DEBUGGED = facts.debugged(PLAN)

# Who listens where, as units and configurations say it.
LISTENS = {
    "kube-apiserver.service": (r"--secure-port=(\d+)",),
    "etcd.service": (r"--listen-\S+-urls=(\S+)",),
    "hardway-balancer.service": (),
}
CONFIGS = {
    "hardway-balancer.service": ("/etc/hardway/haproxy.cfg", r"^\s*bind \S+:(\d+)$"),
    "kube-proxy.service": ("/var/lib/kube-proxy/config.yaml", r"^\w+BindAddress: \S+:(\d+)$"),
    "hardway-mesh.service": ("/etc/hardway/node.json", r'"wireguard_port": (\d+)'),
}
# Programs that listen without being told, each with the flags that would say otherwise.
SILENT = {
    "kube-controller-manager.service": ("kube-controller-manager", ("secure-port",)),
    "kube-scheduler.service": ("kube-scheduler", ("secure-port",)),
    "kubelet.service": ("kubelet", ("port", "healthz-port")),
}
NOBODY = {("hardway-mesh.service", 9), ("systemd-networkd.service", 68)}
# Debian's own unit, masked as long as nobody debugs.
NOT_OURS = {("ssh.service", 22)}


@pytest.fixture(params=NODES, ids=lambda node: node.role)
def node(request: pytest.FixtureRequest) -> Node:
    one: Node = request.param
    return one


def contents(node: Node) -> dict[str, str]:
    return {str(file.path): file.content for file in user_data.files(PLAN, node)}


def said(files: Mapping[str, str]) -> set[tuple[str, int]]:
    found = set()
    for unit, patterns in LISTENS.items():
        text = files.get(f"/etc/systemd/system/{unit}", "")
        for pattern in patterns:
            for value in re.findall(pattern, text):
                found |= {(unit, int(number)) for number in re.findall(r"(\d+)(?:,|$)", value)}
    for unit, (path, pattern) in CONFIGS.items():
        found |= {(unit, int(number)) for number in re.findall(pattern, files[path], re.M)}
    return found


def defaults(files: Mapping[str, str]) -> set[tuple[str, int]]:
    found = set()
    for unit, (program, flags) in SILENT.items():
        text = files.get(f"/etc/systemd/system/{unit}")
        if text is None:
            continue
        usage = subprocess.run(
            [str(binaries.find(program)[program]), "--help"], capture_output=True, text=True, check=True
        ).stdout
        for flag in flags:
            assert f"--{flag}=" not in text
            default = re.search(rf"^\s+--{flag} int(?:32)?\s.*?\(default (\d+)\)", usage, re.M | re.S)
            assert default is not None, (program, flag)
            found.add((unit, int(default[1])))
    kubelet = yaml.safe_load(files["/var/lib/kubelet/config.yaml"])
    assert not {"port", "healthzPort"} & kubelet.keys()
    assert kubelet["readOnlyPort"] == 0
    return found


def hosts(directory: Path) -> set[tuple[str, int]]:
    """Find what addons' pods listen at on their node: at ports of the host, and in its network."""
    (directory / "cluster.yaml").write_text(TUTORIAL)
    files = addons.manifests(facts.load(directory / "cluster.yaml").plan)
    texts = [files[path].decode() for path in ("ingress/daemon-set.yaml", "metrics-server/deployment.yaml")]
    found = [number for text in texts for number in re.findall(r"hostPort: (\d+)|--secure-port=(\d+)", text)]
    return {("containerd.service", int(port or secure)) for port, secure in found}


def test_whoever_listens_has_a_row_and_each_row_somebody_who_listens(node: Node, tmp_path: Path) -> None:
    files = contents(node)
    rows = {(row.unit, row.number) for row in ports.of(node.role, PLAN.datapath)}
    assert rows - NOBODY - NOT_OURS == (said(files) | defaults(files) | hosts(tmp_path)) - NOBODY


def test_what_the_node_keeps_to_itself_listens_on_loopback(node: Node) -> None:
    files = "\n".join(contents(node).values())
    for row in ports.of(node.role, PLAN.datapath):
        if not row.sources and row.number not in (10248, 10257, 10259):
            (bound,) = {found[0] for found in re.findall(rf"(\S*?\b([\d.]+)):{row.number}\b", files)}
            assert bound.endswith("127.0.0.1"), (row, bound)


@pytest.mark.parametrize(
    ("plan", "people"),
    [(PLAN, {"operators"}), (DEBUGGED, {"operators", "debuggers"}), (replace(PLAN, datapath="vpc"), {"operators"})],
)
def test_the_providers_firewall_says_the_same(plan: Plan, people: set[str]) -> None:
    rows = {(row.protocol, str(row.number)): row for row in ports.PORTS if row.datapath in (None, plan.datapath)}
    planned = tuple(sorted((str(plan.node_cidr), str(plan.pod_cidr))))
    seen = [rule.protocol for rule in firewall.inbound(plan) if rule.addresses == planned]
    assert sorted(seen) == (["icmp", "tcp", "udp"] if plan.datapath == "vpc" else [])
    for rule in firewall.inbound(plan):
        if rule.protocol == "icmp" or rule.addresses == planned:
            continue
        row: Port = rows.pop((rule.protocol, rule.ports))
        if "anyone" in row.sources:
            assert rule.addresses == firewall.ANYWHERE
        elif people & set(row.sources):
            assert {ip_network(address) for address in rule.addresses} == set(PLAN.api_access)
        else:
            assert "vpc" in row.sources
            assert rule.tags == (PLAN.cluster_tag,)
    assert not [row for row in rows.values() if {"anyone", "vpc", *people} & set(row.sources)]


def test_a_change_of_access_makes_no_new_node() -> None:
    other = replace(PLAN, api_access=(ip_network("198.18.0.0/24"),))
    assert [user_data.document(other, node) for node in NODES] == [user_data.document(PLAN, node) for node in NODES]


def test_while_somebody_debugs_the_node_itself_knows_the_same_networks() -> None:
    wide, narrow = ip_network("28.51.0.0/16"), ip_network("28.51.100.7/32")
    plan = replace(DEBUGGED, api_access=(narrow, wide, ip_network("28.113.2.0/24")))
    for node in NODES:
        before, after = PLAN.admitted(node), plan.admitted(node)
        assert after == (*before, "ip saddr { 28.51.0.0/16, 28.113.2.0/24 } tcp dport { 22 }")


def test_the_rules_are_there_before_anything_can_be_reached(node: Node) -> None:
    units = contents(node)
    for unit in ("hardway-mesh", "kubelet", "kube-proxy"):
        text = units[f"/etc/systemd/system/{unit}.service"]
        for key in ("Requires", "After"):
            assert re.search(rf"^{key}=.*\bhardway-firewall\.service\b", text, re.M), unit
    for row in ports.of(node.role, PLAN.datapath):
        text = units.get(f"/etc/systemd/system/{row.unit}", "")
        if row.sources and text and row.unit not in ("hardway-mesh.service", "containerd.service"):
            assert re.search(r"^Requires=.*\bhardway-mesh\.service\b", text, re.M), row.unit
