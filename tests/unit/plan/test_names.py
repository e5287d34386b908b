"""Every name that is read back says what it was made of, and what is none of ours says nothing."""

from __future__ import annotations

import pytest

from generator.plan import names

CLUSTERS = ("a", "a-b", "orderbook", "x" * 32)
NODES = ("node01", "a-b01", "node", "n-0123456789abcdef0123456789abcdef")
CHANCE = "0123456789abcdef" * 2


@pytest.mark.parametrize("node", NODES)
@pytest.mark.parametrize("cluster", CLUSTERS)
def test_names_are_read_back(cluster: str, node: str) -> None:
    tags = [names.cluster_tag(cluster), names.node_tag(cluster, node), names.document_tag(cluster, "ab" * 32)]
    assert names.tagged_node(cluster, tags) == node
    assert names.bundle_node(cluster, names.bundle_key(cluster, node, CHANCE)) == node
    assert names.status_node(cluster, names.status_key(cluster, node)) == node
    owner = names.Owner("0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0ff", f"{cluster}-hardway", "fra1")
    assert names.read_owner(str(owner)) == owner
    assert names.is_roster_key(names.roster_key(names.public_prefix(cluster, owner.cluster_id)))


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_another_clusters_names_are_not_ours(cluster: str) -> None:
    other = f"{cluster}-2"
    assert names.tagged_node(cluster, [names.node_tag(other, "node01")]) is None
    assert names.bundle_node(cluster, names.bundle_key(other, "node01", CHANCE)) is None
    assert names.status_node(cluster, names.status_key(other, "node01")) is None
    assert not names.bundles_prefix(other).startswith(names.prefix(cluster))


@pytest.mark.parametrize(
    "key",
    ["", "bundles/", "bundles/node01.bundle", "bundles/x", f"bundles/-{'0' * 31}.bundle", f"bundles/{'0' * 32}.bundle"],
)
def test_what_is_no_bundle_is_nobodys(key: str) -> None:
    assert names.bundle_node("orderbook", f"orderbook/{key}") is None


@pytest.mark.parametrize("text", ["", "released by hardway", "mine", "hardway cluster x, objects in b fra1"])
def test_a_description_of_others_names_no_owner(text: str) -> None:
    assert names.read_owner(text) is None
