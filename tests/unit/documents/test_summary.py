"""The summary: what a reviewer has to be told is told."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from generator.documents import render, summary
from generator.plan import cost
from generator.plan.decide import Plan
from generator.plan.project import Project
from generator.release.lock_file import Image
from tests.described import TUTORIAL

from ... import facts
from ...conftest import TESTS


@pytest.fixture
def project(tmp_path: Path) -> Project:
    file = tmp_path / "cluster.yaml"
    file.write_text(TUTORIAL)
    return facts.load(file)


def test_every_node_with_the_bytes_and_digest_of_its_document(project: Project) -> None:
    files = render.documents(project)
    text = files["summary.md"].decode()
    for node in project.plan.nodes:
        document = files[f"nodes/{node.name}/user-data"]
        line = next(line for line in text.splitlines() if line.startswith(f"| {node.name} |"))
        digest = sha256(document).hexdigest()
        for said in (str(node.address), str(node.pod_cidr), f"{len(document):,} bytes", digest[:16]):
            assert said in line


def test_every_certificate_is_counted_once_for_each_node(project: Project) -> None:
    text = render.documents(project)["summary.md"].decode()
    section = text.partition("## Certificates")[2].partition("\n## ")[0]
    rows = [line.split(" | ") for line in section.splitlines() if line.startswith("| `")]
    assert sum(len(row[3].split(", ")) for row in rows) == len(project.plan.certificates)
    assert all("2027-11-22T08:30:00Z" in row[4] for row in rows)


def test_what_is_not_protected(project: Project) -> None:
    text = " ".join(summary.caveats(project.plan))
    assert "NetworkPolicy" not in text, "Cilium enforces it"
    assert "the database" not in text, "it has its volume"
    nodes = (replace(project.plan.nodes[0], volumes=()), *project.plan.nodes[1:])
    bare = " ".join(summary.caveats(replace(project.plan, nodes=nodes)))
    assert "where the database lies on node01, it dies with the droplet, and orders with it: there is no volume" in bare
    assert "no digest" in text
    assert "losing it loses the cluster" not in text
    small = facts.load(TESTS / "clusters" / "one-control-plane-two-workers.yaml").plan
    text = " ".join(summary.caveats(small))
    assert "NetworkPolicy is not enforced" in text
    assert "losing it loses the cluster" in text
    assert "NetworkPolicy is not enforced" in text
    assert "the bucket is in fra1, the nodes are in ams3" in text
    assert "database" not in text


def test_pinned_images_need_no_caveat(project: Project) -> None:
    images = tuple(Image(image.name, image.reference, f"sha256:{'a' * 64}") for image in project.release.images)
    pinned = replace(project.plan, release=replace(project.release, images=images))
    assert "digest" not in " ".join(summary.caveats(pinned))


def test_who_debugs_is_named_with_the_day_on_which_it_ends(project: Project) -> None:
    before = render.documents(project)["summary.md"].decode()
    assert "nobody can log in" in before
    assert "22/tcp" not in before
    plan = facts.debugged(project.plan)
    digests = summary.Archives((), "", "")
    assert project.inventory is not None
    text = summary.summary(plan, project.inventory, {node.name: "" for node in plan.nodes}, digests)
    row = f"| 22/tcp | {plan.api_access[0]} | **debugging** until 2026-12-24: sshd, on every node |"
    assert row in text.splitlines()
    assert "who holds `anna`, `ben's laptop` of the account can log in as root, until then" in text
    assert "until 2026-12-24 who holds `anna`, `ben's laptop` of the account is root" in summary.caveats(plan)[0]
    assert "nobody can log in" not in text


def test_cost(project: Project) -> None:
    assert cost.monthly(project.plan) == (3 * 24 + 3 * 1 + 5, True)
    nodes = tuple(replace(node, size="s-99vcpu-1gb") for node in project.plan.nodes)
    assert cost.monthly(replace(project.plan, nodes=nodes)) == (3 * 1 + 5, False)


def test_the_picture_has_every_node_and_door(project: Project) -> None:
    plan: Plan = project.plan
    picture = render.documents(project)["summary.md"].decode().partition("```mermaid")[2].partition("```")[0]
    for node in plan.nodes:
        assert f'{node.name}["' in picture
        assert f"people -->|6443| {node.name}" in picture
