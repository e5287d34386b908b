"""Two nodes without a tunnel: what a person is told when a route, a name or DNS is missing, or packets are dropped."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.harness import Cluster, until

POOLS = """\
- {name: node, role: control-plane, schedulable: true, count: 1, size: s-2vcpu-4gb}
- {name: work, role: worker, count: 1, size: s-2vcpu-4gb}"""
NAMES = "kubernetes, kubernetes.default, kubernetes.default.svc, kubernetes.default.svc.cluster.local, localhost"
# What is broken, where, and what is said of it.
BROKEN = {
    "routes": [
        "pods of node01 unreachable from work01: node01 has no route back to 10.42.1.0/24",
        "pods of work01 unreachable from node01: "
        "there is no route to 10.42.1.0/24: packets leave by eth0 via 203.0.113.1",
    ],
    "san": [
        "the API's Service from node01, work01: the API's certificate on node01 does not hold for 10.43.0.1: it is for "
        f"{NAMES}, api.orderbook.internal, node01, 127.0.0.1, 10.44.0.1",
    ],
    "mtu": [
        "pods of node01 from work01: MTU 1500 too large, 1452 passes",
        "pods of work01 from node01: MTU 1500 too large, 1452 passes",
    ],
    "dns": ["DNS from node01: 10.43.0.10 does not answer: no pod of DNS is ready, or the way to it is cut"],
}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Launch two nodes whose packets go through a VPC that lets them pass."""
    cluster = Cluster(tmp_path_factory.mktemp("plain"))
    cluster.gen("init", "orderbook", "--release", "k8s-1.36-source", "--api", "28.51.100.7")
    file = cluster.directory / "cluster.yaml"
    text = re.sub(r"^- \{name: node.*$", POOLS, file.read_text(), flags=re.MULTILINE)
    text = re.sub(r"^addons: .*$", "addons: [bridge, coredns]", text, flags=re.MULTILINE)
    file.write_text(text.replace("datapath: mesh", "datapath: vpc"))
    cluster.gen("lab", "build", timeout=3600)
    cluster.gen("render")
    try:
        cluster.gen("lab", "up", "--kind")
        cluster.gen("lab", "spoofing", "on")
        cluster.gen("launch", "--lab", "--yes", timeout=600)
        until("all paths are open", lambda: not told(cluster)["paths"], 120)
        yield cluster
    finally:
        cluster.gen("lab", "down", check=False)


def told(cluster: Cluster) -> dict[str, Any]:
    """Have the control plane probe, and give what is said; the worker reports by itself, within a minute or so."""
    done = cluster.gen("status", "--lab", "--paths", "--json", check=False)
    found: dict[str, Any] = json.loads(done.stdout)
    assert (done.returncode == 0) == (found["whole"] and not found["paths"] and not found["survey"]["silent"])
    return found


def asked(cluster: Cluster) -> list[str]:
    """Have the worker probe as well, which nobody can ask through the API, and give what is then said."""
    ask = "import sys; sys.path.insert(0, '/usr/local/lib'); from hardway import survey; survey.take()"
    cluster.on("work01", "python3", "-c", ask)
    return list(told(cluster)["paths"])


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_broken_is_named(plain: Cluster, what: str) -> None:
    plain.gen("lab", "break", what, "node01")
    try:
        until(f"{what} is named", lambda: set(BROKEN[what]) <= set(asked(plain)), 120)
    finally:
        plain.gen("lab", "break", what, "node01", "--mend")
    until("all paths are open again", lambda: not asked(plain), 120)


def test_a_vpc_that_drops_foreign_frames_is_named(plain: Cluster) -> None:
    private = plain.gen("lab", "address", "--private", "work01").stdout.strip()
    plain.gen("lab", "spoofing", "off")
    try:
        said = (
            f"pods of work01 unreachable from node01: frames with pod addresses are dropped on eth1: {private} answers"
        )
        until("it is named", lambda: any(line.startswith(said) for line in told(plain)["paths"]), 120)
    finally:
        plain.gen("lab", "spoofing", "on")
    until("all paths are open again", lambda: not asked(plain), 120)


def test_the_table_shows_who_reaches_whom(plain: Cluster) -> None:
    shown = plain.gen("status", "--lab", "--paths").stdout.splitlines()
    table = shown[shown.index("FROM    REACHES  node01  work01  DNS  SERVICE  EGRESS") :]
    assert table[1:3] == [
        "node01  1 of 1   -       1500    ok   ok       ok",
        "work01  1 of 1   ok      -       ok   ok       ok",
    ]
