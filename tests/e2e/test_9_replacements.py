"""Each of three nodes is replaced in turn while a client writes through another: what that costs whom, as a table."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import NODES, Cluster, connected_by_bridge
from tests.e2e.load import Account, Objects, Orders
from tests.e2e.test_5_replace import holder

pytestmark = pytest.mark.long


@pytest.fixture
def three(tmp_path: Path) -> Iterator[Cluster]:
    """Launch the tutorial's three nodes in a lab of their own."""
    cluster = Cluster(tmp_path)
    cluster.gen("init", "orderbook", "--release", "k8s-1.36-source", "--api", "28.51.100.7")
    connected_by_bridge(tmp_path)
    cluster.gen("lab", "build", timeout=3600)
    cluster.gen("render")
    try:
        cluster.gen("lab", "up")
        cluster.gen("launch", "--lab", "--yes", timeout=900)
        yield cluster
    finally:
        cluster.gen("lab", "down", check=False)


def test_three_are_replaced_and_nothing_that_was_acknowledged_is_lost(three: Cluster) -> None:
    rows: dict[str, tuple[float, Account, Account]] = {}
    database = holder(three)
    for number, node in enumerate(NODES):
        client = NODES[number - 1]
        objects, orders = Objects(three, client, f"without-{node}"), Orders(three, client, 100_000 * (number + 6))
        time.sleep(3)
        started = time.monotonic()
        three.gen("replace", "--lab", "--yes", node, timeout=900)
        seconds = time.monotonic() - started
        time.sleep(20)
        rows[node] = (seconds, objects.stop(), orders.stop())
    print("\n".join(table(rows, database)))
    for written, placed in (accounts for _, *accounts in rows.values()):
        assert written.is_kept, written
        assert written.failed <= written.count // 100, written
        assert placed.is_kept, placed
    three.gen("status", "--lab")


def table(rows: dict[str, tuple[float, Account, Account]], database: str) -> Iterator[str]:
    """Give what each replacement cost, a line each."""
    yield "| replaced | wall s | API: written, failed, lost, gap s | orders: acknowledged, failed, lost, gap s |"
    yield "|---|---|---|---|"
    for node, (seconds, written, placed) in rows.items():
        what = f"{node}, with the database" if node == database else node
        api = f"{written.count}, {written.failed}, {written.lost}, {written.gap:.1f}"
        orders = f"{placed.count - placed.failed}, {placed.failed}, {placed.lost}, {placed.gap:.1f}"
        yield f"| {what} | {seconds:.0f} | {api} | {orders} |"
