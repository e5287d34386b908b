"""What lives is compared by the droplets' tags: who is as described, who is not, who is missing, who left."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from generator.catalogue import SIZES
from generator.changes.living import UNKNOWN, compare_with_what_lives
from generator.changes.text import text
from generator.changes.tree import Snapshot
from generator.cluster.kinds.firewall import FIREWALLS, inbound, outbound
from generator.cluster.launchable import Documents
from generator.cluster.observed import DROPLETS, ROSTER, VOLUMES, Observed
from generator.documents import render
from generator.documents.roster import Etcd, compose
from generator.plan.cost import volume_price
from generator.plan.names import object_name, volume_description
from generator.plan.node import Node
from generator.provider.resources import Droplet, Firewall, Volume
from tests import facts
from tests.described import TUTORIAL
from tests.keyring import NOW


@pytest.fixture
def after(tmp_path: Path) -> Snapshot:
    (tmp_path / "cluster.yaml").write_text(TUTORIAL)
    project = facts.load(tmp_path / "cluster.yaml")
    return Snapshot(project, render.documents(project))


@pytest.fixture
def documents(after: Snapshot) -> Documents:
    nodes = {
        node.name: hashlib.sha256(after.files[f"nodes/{node.name}/user-data"]).hexdigest()
        for node in after.project.plan.nodes
    }
    return Documents(nodes, "a" * 64, secrets="b" * 64)


def observed(after: Snapshot, documents: Documents, *droplets: Droplet) -> Observed:
    plan = after.project.plan
    etcd = Etcd("existing", "t", NOW)
    roster = compose(
        plan, generation=1, time=NOW, endpoints={}, etcd=etcd, addons_sha256=documents.addons, secrets_sha256="b" * 64
    )
    return Observed(NOW).having(DROPLETS, droplets).having(ROSTER, roster)


def droplet(after: Snapshot, documents: Documents, node: Node) -> Droplet:
    plan = after.project.plan
    tags = (plan.cluster_tag, plan.node_tag(node), plan.document_tag(documents.nodes[node.name]))
    return Droplet(node.number, node.name, "active", "fra1", node.size, tags, NOW - timedelta(days=1), "v", "1", None)


def test_each_node_is_told_by_what_its_droplet_was_born_with(after: Snapshot, documents: Documents) -> None:
    plan = after.project.plan
    one, two, _ = (droplet(after, documents, node) for node in plan.nodes)
    old = replace(two, tags=(*two.tags[:2], plan.document_tag("f" * 64)))
    left = replace(one, id=9, name="work01", tags=(plan.cluster_tag, f"{plan.cluster_tag}:node:work01"))
    found = compare_with_what_lives(after, documents, observed(after, documents, one, old, left))
    assert {node.node: node.fate for node in found.nodes} == {
        "node01": "unchanged",
        "node02": "recreated",
        "node03": "new",
        "work01": "removed",
    }
    assert found.by_fate("recreated")[0].reasons[0].lines == (UNKNOWN,)
    assert [stage.step for stage in found.stages] == ["make node03", "remove work01", "replace node02"]
    assert "removed    work01" in text(found)


def test_where_all_is_as_described_nothing_changes(after: Snapshot, documents: Documents) -> None:
    whole = [droplet(after, documents, node) for node in after.project.plan.nodes]
    found = compare_with_what_lives(after, documents, observed(after, documents, *whole))
    assert found.is_nothing
    assert found.applied == ()


def test_what_a_launch_changes_in_place_and_the_cost_are_told(after: Snapshot, documents: Documents) -> None:
    plan = after.project.plan
    whole = [droplet(after, documents, node) for node in plan.nodes]
    odd = [replace(one, addresses=("28.51.100.99",)) if one.ports == "6443" else one for one in inbound(plan)]
    wall = Firewall("f", object_name(plan.name), (plan.cluster_tag,), tuple(odd), outbound())
    larger = [replace(whole[0], size="s-4vcpu-8gb"), *whole[1:]]
    found = compare_with_what_lives(after, documents, observed(after, documents, *larger).having(FIREWALLS, (wall,)))
    assert [(one.file, one.lines) for one in found.applied if "firewall" in one.file] == [
        (f"firewall {object_name(plan.name)}", ("its rules are not the planned ones",))
    ]
    assert found.doors == ("opens: 6443/tcp, from 28.51.100.7", "closes: 6443/tcp, from 28.51.100.99")
    without_volumes = -3 * volume_price(10)
    assert (
        found.cost[0] - found.cost[1] == SIZES["s-4vcpu-8gb"].monthly - SIZES["s-2vcpu-4gb"].monthly + without_volumes
    )


def test_what_a_living_cluster_can_not_become_is_refused(after: Snapshot, documents: Documents) -> None:
    whole = [droplet(after, documents, node) for node in after.project.plan.nodes]
    seen = observed(after, documents, *whole)
    roster = seen.of(ROSTER)
    assert roster is not None
    other = replace(roster, founding=replace(roster.founding, pods="10.99.0.0/16"))
    found = compare_with_what_lives(after, documents, seen.having(ROSTER, other))
    assert "network.pods" in found.refused[0][0]


def test_members_are_counted_by_what_lives(after: Snapshot, documents: Documents) -> None:
    plan = after.project.plan
    whole = [droplet(after, documents, node) for node in plan.nodes]
    smaller = replace(plan, nodes=plan.nodes[:1])
    project = replace(after.project)
    vars(project)["plan"] = smaller
    found = compare_with_what_lives(replace(after, project=project), documents, observed(after, documents, *whole))
    assert [(stage.step, stage.members, stage.caveat) for stage in found.stages] == [
        ("remove node02", (3, 2, 2), ""),
        ("remove node03", (2, 1, 1), "meanwhile one member alone holds the data"),
    ]


def test_a_volume_that_has_another_file_system_is_refused(after: Snapshot, documents: Documents) -> None:
    plan = after.project.plan
    words = volume_description(plan.cluster_id, "node01", "data", "xfs")
    volume = Volume("v", "orderbook-node01-data", "fra1", 10, words, None)
    found = compare_with_what_lives(after, documents, observed(after, documents).having(VOLUMES, (volume,)))
    [(message, hint)] = found.refused
    assert message == "volume orderbook-node01-data has xfs, and ext4 is described: what is there is never formatted"
    assert hint == "write `filesystem: xfs` for the pool node, or give the volume another name"
