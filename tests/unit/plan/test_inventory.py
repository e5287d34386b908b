"""The committed facts: read as written, one line per key, nothing but public parts."""

from __future__ import annotations

import base64
from hashlib import sha256
from pathlib import Path

import pytest

from generator.errors import Problems
from generator.plan import inventory
from generator.plan.inventory import Inventory, KeyFact

PUBLIC = base64.b64encode(bytes(32)).decode()
INVENTORY = Inventory(
    cluster_id="0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0ff",
    name="orderbook",
    numbers={"node02": 2, "node01": 1, "gone01": 3},
    keys=(
        KeyFact("operator", sha256=sha256(bytes(32)).hexdigest(), public=PUBLIC),
        KeyFact("nodes/node01/kubelet", "CN=x,O=y", ("DNS:node01", "IP:10.44.0.1"), "2027-11-22T08:30:00Z", "2" * 64),
    ),
    bundles={"node02": "b" * 64, "node01": "a" * 64},
)


def test_dump_and_load_are_inverse(tmp_path: Path) -> None:
    path = tmp_path / "inventory.yaml"
    path.write_text(inventory.dump(INVENTORY))
    loaded = inventory.load(path)
    assert loaded is not None
    assert inventory.dump(loaded) == inventory.dump(INVENTORY)
    assert loaded.numbers == INVENTORY.numbers
    assert set(loaded.keys) == set(INVENTORY.keys)


def test_the_order_of_facts_does_not_show() -> None:
    other = Inventory(
        INVENTORY.cluster_id,
        INVENTORY.name,
        dict(reversed(INVENTORY.numbers.items())),
        INVENTORY.keys[::-1],
        dict(reversed(INVENTORY.bundles.items())),
    )
    assert inventory.dump(other) == inventory.dump(INVENTORY)


def test_a_key_is_one_line() -> None:
    lines = inventory.dump(INVENTORY).splitlines()
    assert sum("nodes/node01/kubelet" in line for line in lines) == 1


def test_no_file_is_no_inventory(tmp_path: Path) -> None:
    assert inventory.load(tmp_path / "inventory.yaml") is None


def test_public_is_empty_for_what_is_not_there() -> None:
    assert INVENTORY.public("operator") == PUBLIC
    assert INVENTORY.public("nodes/node01/kubelet") == ""
    assert INVENTORY.public("nodes/node09/wireguard") == ""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("0f1e2d3c-4b5a", "0f1e2d3c"),
        ("node01: 1", "node01: 0"),
        ("a" * 64, "a" * 63),
        ("path: operator", "pfad: operator"),
        ("version: 1", "version: 9"),
        ("node01: 1", "node01: 2"),
        ("node01: 1", "node01: 3"),
        ("node01: 1", "../x: 1"),
        ("node01: 1", "node01: 70000"),
        (f"public: {PUBLIC}", f"public: {PUBLIC[:-2]}E="),
        (f"public: {PUBLIC}", "public: AAAA"),
        ("path: operator", "path: ../operator"),
        ("path: operator", "path: nodes/node01/kubelet"),
        ("CN=x", "CN=<script>\\e"),
        ("DNS:node01", "URI:http"),
        ("2027-11-22T08:30:00Z", "never"),
        ("2027-11-22T08:30:00Z", "2027-11-22 08:30"),
    ],
)
def test_a_spoilt_inventory_is_refused(tmp_path: Path, old: str, new: str) -> None:
    text = inventory.dump(INVENTORY)
    assert old in text
    path = tmp_path / "inventory.yaml"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(Problems):
        inventory.load(path)
