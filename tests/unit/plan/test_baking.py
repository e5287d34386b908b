"""Which image a description may name, what is in it, and what it costs."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from generator.cli.main import run
from generator.errors import Problem
from generator.plan import baking
from generator.plan.baking import content
from generator.plan.project import Project
from generator.release import baked
from tests import facts
from tests.conftest import TESTS
from tests.described import TUTORIAL

SMALL = facts.load(TESTS / "clusters/one-control-plane-two-workers.yaml")
NAME = content(SMALL.plan, SMALL.release).name


def described(directory: Path, image: str, *, addons: str | None = None) -> Project:
    text = TUTORIAL.replace("image: debian-13-x64 ", f"image: {image} ")
    text = re.sub(r"^addons: .*$", f"addons: {addons}", text, flags=re.MULTILINE) if addons else text
    (directory / "cluster.yaml").write_text(text)
    return Project.load(directory / "cluster.yaml")


def test_the_name_is_made_of_what_is_in_it() -> None:
    plan, lock = SMALL.plan, SMALL.release
    assert content(plan, lock).name == NAME
    assert content(replace(plan, nodes=plan.nodes[::-1]), lock).name == NAME, "whoever takes it"
    fewer = replace(plan, nodes=plan.workers)
    assert content(fewer, lock).name != NAME, "control planes take more"
    kubelet = lock.artifact("kubelet")
    others = tuple(replace(one, sha256="0" * 64) if one is kubelet else one for one in plan.release.artifacts)
    assert content(replace(plan, release=replace(plan.release, artifacts=others)), lock).name != NAME
    assert content(plan, replace(lock, images=())).name != NAME


def test_all_of_the_locks_is_in_it_and_nothing_of_the_users() -> None:
    plan, found = SMALL.plan, content(SMALL.plan, SMALL.release)
    artifacts = {one.name for node in plan.nodes for one in plan.artifacts(node)}
    packages = {one.name for node in plan.nodes for one in plan.packages(node)}
    assert sorted(one.name for one in found.artifacts) == sorted(artifacts)
    assert sorted(one.name for one in found.packages) == sorted(packages)
    lock = {one.pinned for one in SMALL.release.images if one.is_pinned}
    assert set(found.images) == lock & {one for node in plan.nodes for one in plan.images(node)}
    digest = f"sha256:{'a' * 64}"
    own = tuple(replace(one, digest=digest) if one.name == "coredns" else one for one in plan.release.images)
    assert not [
        one
        for one in content(replace(plan, release=replace(plan.release, images=own)), SMALL.release).images
        if digest in one
    ]


def test_what_needs_a_secret_to_be_pulled_is_left_out(tmp_path: Path) -> None:
    project = described(tmp_path, "debian-13-x64")
    digest = f"sha256:{'a' * 64}"
    pinned = tuple(replace(one, digest=digest) if one.name == "order-book" else one for one in project.release.images)
    plan, lock = (
        replace(project.plan, release=replace(project.release, images=pinned)),
        replace(project.release, images=pinned),
    )
    assert [one for one in content(plan, lock).images if one.endswith(digest)]
    assert not [one for one in content(replace(plan, pull_secret="pull.json"), lock).images if one.endswith(digest)]


@pytest.mark.parametrize("name", [str(NAME), f"{NAME}@1", f"{NAME}@164823911", "hardway-a.b+c-1-0123456789ab@7"])
def test_a_name_is_read_back(name: str) -> None:
    found = baked.read(name)
    assert found is not None
    assert str(found) == name


@pytest.mark.parametrize(
    "name", ["", "debian-13-x64", "hardway-x", f"{NAME}@", f"{NAME}@0", f"{NAME}@x", f"{NAME}0", f" {NAME}"]
)
def test_what_is_no_name_is_none(name: str) -> None:
    assert baked.read(name) is None


def test_the_right_image_is_no_mistake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = content((plain := described(tmp_path, "debian-13-x64")).plan, plain.release).name
    for image in (name, name.at(7)):
        project = described(tmp_path, str(image))
        assert list(baking.faults(project.plan, project.release)) == []
        assert content(project.plan, project.release).name == name, (
            "what it is made of is the distribution's all the same"
        )
        assert run(["check", "-f", str(project.file)]) == 0
    noted = capsys.readouterr().err.count("; it is named without its number, so they can put another in its place")
    assert noted == 1


def test_another_locks_image_is_refused_before_anything_is_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hint = "`gen bake` makes the right one and says its number; `debian-13-x64` boots without, and fetches everything"
    project = described(tmp_path, "hardway-k8s-1.35-0123456789ab@7")
    assert run(["check", "-f", str(project.file)]) == 1
    said = "was baked for the release `k8s-1.35`, the description's is `k8s-1.36`"
    assert capsys.readouterr().err == f"error: `image`: `hardway-k8s-1.35-0123456789ab@7` {said}\n  hint: {hint}\n"
    project = described(tmp_path, "hardway-k8s-1.36-0123456789ab")
    assert run(["check", "-f", str(project.file)]) == 1
    wanted = content(project.plan, project.release).name
    said = f"holds other files or images than the nodes take now, which is `{wanted}`"
    assert capsys.readouterr().err == f"error: `image`: `hardway-k8s-1.36-0123456789ab` {said}\n  hint: {hint}\n"


def test_the_size_is_the_cheapest_whose_disk_is_no_larger_than_any_nodes() -> None:
    def of(*sizes: str) -> str:
        nodes = tuple(replace(SMALL.plan.nodes[0], size=size) for size in sizes)
        return baking.size(replace(SMALL.plan, nodes=nodes)).slug

    assert of("s-2vcpu-4gb") == of("c-2", "s-8vcpu-16gb") == of("gpu-h100x8-640gb") == "s-1vcpu-1gb"
    with pytest.raises(Problem, match="has a disk of 10 GiB, no size that can bake has as little"):
        of("s-2vcpu-4gb", "s-1vcpu-512mb-10gb")


@pytest.mark.parametrize(("gigabytes", "monthly"), [(0, 0.01), (0.1, 0.01), (1, 0.06), (3.35, 0.20), (100, 6.0)])
def test_a_month_costs_six_cents_for_each_gb(gigabytes: float, monthly: float) -> None:
    assert baking.monthly(gigabytes) == monthly
