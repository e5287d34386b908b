"""What lives otherwise than described is told once a node, with every reason, and nothing else is."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from generator.cluster.drift import drifted
from generator.cluster.launchable import Documents
from generator.cluster.observed import DROPLETS, ROSTER, Observed
from generator.documents.roster import Etcd, compose
from generator.plan.decide import Plan
from generator.provider.resources import Droplet
from tests.keyring import NOW, planned

PLAN = planned(control_planes=3, workers=2)
DOCUMENTS = Documents({node.name: f"{node.number:064x}" for node in PLAN.nodes}, "a" * 64)
DAY = timedelta(days=1)


def droplet(plan: Plan, name: str, **changes: object) -> Droplet:
    node = plan.node(name)
    tags = (plan.cluster_tag, plan.node_tag(node), plan.document_tag(DOCUMENTS.nodes[name]))
    found = Droplet(
        node.number, name, "active", "fra1", node.size, tags, NOW - DAY, "v", "1", f"10.110.0.{node.number}"
    )
    return replace(found, **changes)  # type: ignore[arg-type]


def observed(*droplets: Droplet) -> Observed:
    etcd = Etcd("existing", "t", NOW)
    roster = compose(PLAN, generation=1, time=NOW, endpoints={}, etcd=etcd, addons_sha256="a" * 64)
    return Observed(NOW).having(DROPLETS, droplets).having(ROSTER, roster)


ALL = tuple(droplet(PLAN, node.name) for node in PLAN.nodes)


def test_what_is_as_described_does_not_drift() -> None:
    assert drifted(PLAN, DOCUMENTS, observed(*ALL)) == ()
    assert drifted(PLAN, DOCUMENTS, observed(*ALL[:3])) == (), "what is missing is not other"


def test_every_reason_is_told_once_a_node() -> None:
    other = droplet(PLAN, "node02", size="s-4vcpu-8gb", created=NOW - 40 * DAY)
    other = replace(other, tags=other.tags[:2])
    [found] = drifted(PLAN, DOCUMENTS, observed(ALL[0], other, *ALL[2:]), older_than=30 * DAY)
    assert (found.node, found.cause, found.droplet) == ("node02", "document", 2)
    assert found.why == (
        "was born with another document, has size s-4vcpu-8gb, not s-2vcpu-4gb, is of 2026-10-13, and so is its image"
    )


def test_age_counts_only_when_it_is_asked_for() -> None:
    old = [droplet(PLAN, node.name, created=NOW - 30 * DAY) for node in PLAN.nodes]
    assert drifted(PLAN, DOCUMENTS, observed(*old)) == ()
    found = drifted(PLAN, DOCUMENTS, observed(*old), older_than=30 * DAY)
    assert ([one.node for one in found], {one.cause for one in found}) == (
        [node.name for node in PLAN.nodes],
        {"image"},
    )
    assert drifted(PLAN, DOCUMENTS, observed(*old), older_than=31 * DAY) == ()


def test_what_left_the_description_is_told_with_its_role_droplet_or_not() -> None:
    smaller = replace(PLAN, nodes=(PLAN.nodes[0], PLAN.nodes[3]))
    found = drifted(smaller, DOCUMENTS, observed(*ALL[:2], *ALL[3:]))
    assert [(one.node, one.role, one.droplet, one.cause) for one in found] == [
        ("node02", "control-plane", 2, "unplanned"),
        ("worker02", "worker", 5, "unplanned"),
        ("node03", "control-plane", 0, "unplanned"),
    ]
