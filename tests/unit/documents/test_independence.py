"""A node's document depends on that node and on what the whole cluster has in common, never on who the others are."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from generator.documents import user_data
from generator.plan.decide import Plan
from generator.plan.inventory import Inventory, KeyFact, wireguard_key
from generator.release import lock_file
from tests import keyring
from tests.keyring import CLUSTER_ID

RELEASE = lock_file.load("k8s-1.36", Path())


def documents(plan: Plan) -> dict[str, str]:
    whole = replace(plan, release=RELEASE)
    return {node.name: user_data.document(whole, node) for node in whole.nodes}


def planned(control_planes: int, workers: int, chance: random.Random) -> Plan:
    """Plan a cluster whose numbers and keys a history has given."""
    names = [f"node{n:02}" for n in range(1, control_planes + 1)] + [f"worker{n:02}" for n in range(1, workers + 1)]
    numbers = dict(zip(names, chance.sample(range(1, 200), len(names)), strict=True))
    keys = tuple(KeyFact(wireguard_key(name), public=f"key of {name}") for name in names)
    bundles = {name: f"{number:064x}" for name, number in numbers.items()}
    return keyring.planned(
        Inventory(CLUSTER_ID, "orderbook", numbers, keys, bundles), control_planes=control_planes, workers=workers
    )


@pytest.mark.parametrize("seed", range(12))
def test_nodes_of_either_role_come_and_go_and_no_other_document_changes(seed: int) -> None:
    chance = random.Random(seed)
    known = planned(5, 6, chance)
    inventory = Inventory(
        CLUSTER_ID,
        "orderbook",
        {node.name: node.number for node in known.nodes},
        tuple(KeyFact(wireguard_key(node.name), public=f"key of {node.name}") for node in known.nodes),
        {node.name: node.bundle_sha256 for node in known.nodes},
    )
    whole = documents(keyring.planned(inventory, control_planes=5, workers=6))
    for control_planes, workers in ((1, 0), (3, 1), (5, 0), (3, 6), (1, 6)):
        part = documents(keyring.planned(inventory, control_planes=control_planes, workers=workers))
        assert part == {name: whole[name] for name in part}


def test_the_document_names_no_other_node() -> None:
    plan = planned(3, 2, random.Random(7))
    for name, text in documents(plan).items():
        others = [node for node in plan.nodes if node.name != name]
        for other in others:
            for mention in (other.name, f"{other.address}/32", str(other.pod_cidr), other.wireguard_public_key):
                assert mention not in text, (name, mention)
