"""The lab says of itself what is believed of the cloud; what is switched while it runs is told, and nothing else."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.harness import Cluster

pytestmark = pytest.mark.skipif("HARDWAY_CLUSTER" in os.environ, reason="needs a lab of its own")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Bring a lab up in which there is nothing yet."""
    here = Cluster(tmp_path_factory.mktemp("probed"))
    here.gen("init", "probed", "--release", "k8s-1.36-source", "--api", "28.51.100.7")
    here.gen("lab", "build")
    try:
        here.gen("lab", "up", "--unkind", "droplet_limit=3")
        yield here
    finally:
        here.gen("lab", "down", check=False)


def probed(lab: Cluster, *words: str) -> dict[str, str]:
    """Run a probe, and give the verdict of each belief that was asked; nothing of it is left."""
    done = lab.gen("probe", "--lab", "--yes", "--json", *words, check=False)
    rows: list[dict[str, Any]] = json.loads(done.stdout)["rows"]
    assert done.returncode == any(row["verdict"] in ("differs", "no answer") for row in rows), done.stderr
    status = json.loads(lab.gen("lab", "status", "--json").stdout)
    assert (status["droplets"], status["vpcs"], status["firewalls"], status["tags"]) == ([], [], [], [])
    assert lab.gen("lab", "spaces", "list").stdout == ""
    return {row["id"]: row["verdict"] for row in rows}


def differing(verdicts: dict[str, str]) -> list[str]:
    return [name for name, verdict in verdicts.items() if verdict not in ("as believed", "can't tell")]


def test_everything_is_as_believed(lab: Cluster) -> None:
    verdicts = probed(lab, "--two")
    assert differing(verdicts) == []
    assert len(verdicts) > 110
    assert sum(verdict == "as believed" for verdict in verdicts.values()) > 100


def test_foreign_sources_that_pass_are_told_alone(lab: Cluster) -> None:
    lab.gen("lab", "spoofing", "on")
    try:
        assert differing(probed(lab, "--only", "two")) == ["foreign-sources"]
    finally:
        lab.gen("lab", "spoofing", "off")


def test_vendor_data_that_install_nothing_are_told_alone(lab: Cluster) -> None:
    lab.gen("lab", "unkind", "held_dpkg_lock=0")
    try:
        assert differing(probed(lab, "--only", "node")) == ["vendor-installs"]
    finally:
        lab.gen("lab", "unkind", "held_dpkg_lock=150")


@pytest.mark.parametrize(
    ("switch", "back", "belief"),
    [
        ("requests_per_hour=4000", "requests_per_hour=5000", "hourly-limit"),
        ("droplet_limit=2", "droplet_limit=3", "account-limit"),
        ("volume_limit=2", "volume_limit=100", "volume-limit"),
        ("address_limit=2", "address_limit=3", "address-limit"),
    ],
)
def test_an_unkindness_is_told_alone(lab: Cluster, switch: str, back: str, belief: str) -> None:
    lab.gen("lab", "unkind", switch)
    phase = {"volume-limit": "volumes", "address-limit": "addresses"}.get(belief, "api")
    try:
        assert differing(probed(lab, "--only", phase)) == [belief]
    finally:
        lab.gen("lab", "unkind", back)


def test_creations_that_fail_are_told_alone(lab: Cluster) -> None:
    lab.gen("lab", "fail-creates", "2")
    assert differing(probed(lab, "--only", "api")) == ["failing-creates"]
