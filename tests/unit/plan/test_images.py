"""Which images a cluster runs: a digest is asked of those, and of no others."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from generator.cli.main import run
from generator.cluster import launchable
from generator.description import tutorial
from generator.documents import addons
from generator.documents import render as rendering
from generator.errors import Problems
from generator.manifests import images as manifest_images
from generator.manifests.own import OwnAddon
from generator.plan import images
from generator.plan.project import Project
from generator.release import lock_file
from tests import facts
from tests.conftest import TESTS

LOCK = lock_file.load("k8s-1.36", Path("nowhere"))
DIGEST = f"sha256:{'a' * 64}"
OWN = f"registry.example.com/team/book:2@{DIGEST}"
TUTORIAL = "addons: [cilium, coredns, ingress, metrics-server, order-book]"
CILIUM = ("cilium", "cilium-operator")
WHOLE, BARE = "addons: [cilium, coredns, ingress, metrics-server, order-book]", "addons: [bridge, coredns]"


def described(directory: Path, *, addons: str = WHOLE, more: str = "", release: str = "k8s-1.36") -> Project:
    text = tutorial.description("orderbook", release, ["28.51.100.7"])
    assert TUTORIAL in text
    (directory / "cluster.yaml").write_text(text.replace(TUTORIAL, addons) + more)
    return Project.load(directory / "cluster.yaml")


def own_lock(directory: Path, *names: str) -> None:
    """Write a lock of our own that has these images alone, without digests."""
    kept = tuple(replace(one, digest=lock_file.UNPINNED) for one in LOCK.images if one.name in names)
    (directory / "releases").mkdir()
    (directory / "releases" / "mine.yaml").write_text(lock_file.dump(replace(LOCK, name="mine", images=kept)))


def test_every_image_of_the_programs_lock_is_pinned_but_the_order_books() -> None:
    assert [one.name for one in LOCK.unpinned] == [images.ORDER_BOOK]


@pytest.mark.parametrize(
    ("addons", "names"),
    [
        (
            TUTORIAL,
            [
                *("pause", "cilium", "cilium-operator", "coredns", "traefik"),
                *("metrics-server", "postgres", "order-book"),
            ],
        ),
        (
            WHOLE,
            ["pause", "cilium", "cilium-operator", "coredns", "traefik", "metrics-server", "postgres", "order-book"],
        ),
        ("addons: [bridge, coredns, ingress]", ["pause", "coredns", "traefik"]),
        (BARE, ["pause", "coredns"]),
        ("addons: [bridge]", ["pause"]),
    ],
)
def test_a_plan_has_the_images_that_the_cluster_runs(tmp_path: Path, addons: str, names: list[str]) -> None:
    assert [one.name for one in described(tmp_path, addons=addons).plan.release.images] == names


def test_what_is_not_run_stops_no_launch_and_is_not_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    described(Path(), addons=BARE)
    assert run(["check"]) == 0
    assert run(["render"]) == 0
    assert "digest" not in capsys.readouterr().err
    launchable.prepare(Project.load(), now=datetime.now(UTC))


def test_what_to_do_without_the_order_books_digest_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    described(Path())
    assert run(["render"]) == 0
    with pytest.raises(Problems) as caught:
        launchable.prepare(Project.load(), now=datetime.now(UTC))
    hint = (
        "  hint: where `gen release pin` can't tell it, name any image that keeps the contract in docs/order-book.md as"
        " `order_book.image: <reference>@sha256:…`, and if it is private a file as `order_book.pull_secret`"
    )
    message = "release k8s-1.36: `docker.io/amagnu/limit-order-book:1.37` has no digest"
    assert str(caught.value) == f"error: {message}\n{hint}"
    assert f"warning: {message}; a launch in the cloud refuses it\n{hint}\n" in capsys.readouterr().err


def test_the_descriptions_order_book_replaces_the_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    described(Path(), more=f"order_book: {{image: '{OWN}'}}\n")
    assert run(["render"]) == 0
    project = Project.load()
    launchable.prepare(project, now=datetime.now(UTC))
    assert project.plan.release.image(images.ORDER_BOOK).pinned == OWN
    assert f"image: {OWN}\n" in Path("rendered/orderbook/addons/order-book/deployment.yaml").read_text()
    summary = Path("rendered/orderbook/summary.md").read_text()
    assert OWN in summary
    assert "Nodes download from " in summary
    assert "registry.example.com" in summary.partition("Nodes download from ")[2].partition("\n")[0]
    assert "amagnu" not in summary


def test_the_descriptions_order_book_wants_its_digest_too(tmp_path: Path) -> None:
    project = described(tmp_path, more="order_book: {image: docker.io/me/book:2}\n")
    (problem,) = images.unpinned(project.spec, project.release)
    assert str(problem).startswith("error: `order_book.image`: `docker.io/me/book:2` has no digest\n  hint: ")


def test_a_lock_has_to_have_what_the_cluster_runs_and_nothing_more(tmp_path: Path) -> None:
    own_lock(tmp_path, "pause", "coredns")
    project = described(tmp_path, addons=BARE, release="mine")
    assert [problem.where for problem in images.unpinned(project.spec, project.release)] == ["release mine"] * 2
    with pytest.raises(Problems) as caught:
        described(tmp_path, release="mine", more=f"order_book: {{image: '{OWN}'}}\n")
    assert [str(problem) for problem in caught.value.problems] == [
        "error: release mine: `cilium` is missing in `images`\n  hint: the addon `cilium` runs it",
        "error: release mine: `cilium-operator` is missing in `images`\n  hint: the addon `cilium` runs it",
        "error: release mine: `traefik` is missing in `images`\n  hint: the addon `ingress` runs it",
        "error: release mine: `metrics-server` is missing in `images`\n  hint: the addon `metrics-server` runs it",
        "error: release mine: `postgres` is missing in `images`\n  hint: the addon `order-book` runs it",
    ]
    with pytest.raises(Problems, match="`order-book` is missing in `images`"):
        described(tmp_path, release="mine")


@pytest.mark.parametrize("addons", [TUTORIAL, WHOLE, "addons: [bridge, coredns, ingress]", BARE, "addons: [bridge]"])
def test_no_template_asks_for_another_image(tmp_path: Path, addons: str) -> None:
    rendering.rehearse(described(tmp_path, addons=addons))


OF_USER = {
    "kind": "Deployment",
    "metadata": {"name": "web"},
    "spec": {
        "template": {
            "spec": {"containers": [{"name": "web", "image": OWN}, {"name": "x", "image": "docker.io/me/x:1"}]}
        }
    },
}


@pytest.mark.parametrize("cluster", ["one-control-plane-two-workers", "through-the-vpc"])
def test_a_nodes_images_are_those_of_all_pods_that_may_come_to_it(cluster: str) -> None:
    plan = facts.load(TESTS / "clusters" / f"{cluster}.yaml").plan
    pause = plan.release.image("pause").pinned
    everything, tolerant = {pause}, {pause}
    for path, content in addons.manifests(plan).items():
        for value in yaml.safe_load_all(content) if path.endswith(".yaml") else ():
            found = set(manifest_images.inside(value))
            everything |= found
            pod = value.get("spec", {}).get("template", {}).get("spec", {}) if found else {}
            tolerant |= found if {"operator": "Exists"} in pod.get("tolerations", ()) else set()
    everything -= {one.pinned for one in plan.release.unpinned}
    for node in plan.nodes:
        assert set(plan.images(node)) == (everything if node.schedulable else tolerant), node.name
        assert all(map(manifest_images.is_pinned, plan.images(node)))
        assert plan.images(node)[0] == pause


def test_a_node_runs_the_images_of_a_users_addons_too_by_digest_alone() -> None:
    own = [OwnAddon("shop", (), (OF_USER,))]
    release = replace(LOCK, images=(LOCK.image("pause"),))
    assert images.of_node(release, ["bridge"], own, schedulable=True) == (LOCK.image("pause").pinned, OWN)
    assert images.of_node(release, ["bridge"], own, schedulable=False) == (LOCK.image("pause").pinned,)
