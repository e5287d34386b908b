"""Whoever changes a committed fact without a key is found out, by the inventory alone."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from generator.pki import store as key_store
from generator.pki import vouching
from generator.plan.decide import Plan
from generator.plan.inventory import Inventory, KeyFact
from tests import keyring

FILE = Path("inventory.yaml")
THIEF = base64.b64encode(bytes(range(32))).decode()
# Another value for each field of a row that has one.
FORGED: dict[str, Any] = {
    "subject": "CN=admin,O=system:masters",
    "sans": ("DNS:thief",),
    "expires": "2099-01-01T00:00:00Z",
    "sha256": "ab" * 32,
    "public": THIEF,
    "certificate": None,
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Inventory]:
    plan, store, inventory = keyring.made(tmp_path_factory.mktemp("keys"), control_planes=3, workers=1)
    bundles = {node.name: "0" * 64 for node in plan.nodes}
    whole = replace(inventory, bundles=bundles, secrets="1" * 64, keys=key_store.facts(store, plan))
    return plan, vouching.signed(whole, store.operator_key)


def found(plan: Plan, inventory: Inventory) -> list[str]:
    return [problem.message for problem in vouching.problems(plan, inventory, FILE)]


def forgeries(inventory: Inventory) -> Iterator[tuple[str, Inventory]]:
    """Give each row with each of its fields changed, and each row with the content of the next."""
    for place, row in enumerate(inventory.keys):
        for field in fields(KeyFact):
            old = getattr(row, field.name)
            if field.name == "path" or not old or old == FORGED[field.name]:
                continue
            yield f"{row.path} {field.name}", _with(inventory, place, replace(row, **{field.name: FORGED[field.name]}))
    certified = [(place, row) for place, row in enumerate(inventory.keys) if row.certificate]
    for (place, row), (_, other) in zip(certified, certified[1:] + certified[:1], strict=True):
        yield f"{row.path} as {other.path}", _with(inventory, place, replace(other, path=row.path))


def _with(inventory: Inventory, place: int, row: KeyFact) -> Inventory:
    return replace(inventory, keys=(*inventory.keys[:place], row, *inventory.keys[place + 1 :]))


def test_what_was_rendered_is_vouched_for(made: tuple[Plan, Inventory]) -> None:
    assert found(*made) == []


def test_every_forged_row_is_found(made: tuple[Plan, Inventory]) -> None:
    plan, inventory = made
    tried = list(forgeries(inventory))
    assert len(tried) > 200
    missed = {name for name, forged in tried if not found(plan, forged)}
    # Clients differ in nothing but their names, and these are the description's: `render` compares them.
    assert {name for name in missed if " as " not in name} == set()
    assert all(_same_kind(plan, *name.split(" as ")) for name in missed)


def _same_kind(plan: Plan, mine: str, other: str) -> bool:
    rows = {row.path: row for row in plan.certificates}
    return (rows[mine].signer, rows[mine].usages) == (rows[other].signer, rows[other].usages)


@pytest.mark.parametrize(
    "change",
    [
        {"numbers": {"node01": 4}},
        {"bundles": {"node01": "2" * 64}},
        {"secrets": "2" * 64},
        {"secrets": None},
        {"name": "other"},
        {"cluster_id": "0" * 36},
        {"signature": ""},
        {"signature": base64.b64encode(bytes(64)).decode()},
    ],
    ids=str,
)
def test_what_no_certificate_vouches_for_is_signed(made: tuple[Plan, Inventory], change: dict[str, Any]) -> None:
    plan, inventory = made
    assert found(plan, replace(inventory, **change)) == [vouching.unsigned(FILE).message]


def test_a_row_without_certificate_can_not_be_added_or_removed(made: tuple[Plan, Inventory]) -> None:
    plan, inventory = made
    plain = next(row for row in inventory.keys if row.certificate is None and row.path != "operator")
    fewer = tuple(row for row in inventory.keys if row is not plain)
    for keys in (fewer, (*inventory.keys, KeyFact("thief", sha256="0" * 64, public=THIEF))):
        assert vouching.unsigned(FILE).message in found(plan, replace(inventory, keys=keys))


def test_an_inventory_forged_as_a_whole_is_seen_where_the_key_is(made: tuple[Plan, Inventory], tmp_path: Path) -> None:
    _, inventory = made
    plan, store, other = keyring.made(tmp_path, control_planes=3, workers=1)
    forged = vouching.signed(replace(other, bundles=inventory.bundles), store.operator_key)
    assert found(plan, forged) == []
    assert not vouching.is_signed(forged, inventory.public("operator"))
