"""The page of the datapath is what was measured, and a failing cell says what was seen."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import yaml

from generator.description.load import load
from tests import images
from tests.datapath import stage, table
from tests.datapath.table import Column, Row
from tests.datapath.workload import HOST, KNOCK, SETS, manifest

COLUMN = Column("bridge", "mesh", "three", (Row("pod ↔ pod", True, "36 of 36"), Row("iperf3", False, "refused")))


def test_the_page_is_what_was_measured() -> None:
    assert table.PAGE.read_text() == table.page(table.read())


def test_what_is_measured_again_takes_the_place_of_what_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "FILE", tmp_path / "measured.json")
    monkeypatch.setattr(table, "PAGE", tmp_path / "page.md")
    other = dataclasses.replace(COLUMN, cni="cilium")
    for column in (COLUMN, other, dataclasses.replace(COLUMN, rows=(Row("iperf3", True, "80%"),))):
        table.keep(column)
    assert [(each.cni, each.rows[-1].seen) for each in table.read()] == [("bridge", "80%"), ("cilium", "refused")]
    text = (tmp_path / "page.md").read_text()
    assert "| iperf3 | 80% | **no**: refused |" in text
    assert "| pod ↔ pod | – | 36 of 36 |" in text


def test_a_column_with_a_failing_cell_is_wrong() -> None:
    assert [row.name for row in COLUMN.wrong] == ["iperf3"]


def test_a_workload_has_two_sets_of_restricted_pods_and_one_in_the_nodes_network() -> None:
    objects = [each for each in yaml.safe_load_all(manifest("image@sha256:0")) if each["kind"] == "DaemonSet"]
    pods = {each["metadata"]["name"]: each["spec"]["template"]["spec"] for each in objects}
    assert set(pods) == {*SETS, HOST}
    assert {name for name, pod in pods.items() if pod["hostNetwork"]} == {HOST}
    for name in SETS:
        for container in pods[name]["containers"]:
            assert container["securityContext"]["runAsNonRoot"]
    assert str(KNOCK) in pods[HOST]["containers"][1]["args"]


@pytest.mark.parametrize("shape", stage.POOLS)
def test_every_shape_is_a_description(shape: str, tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    values = {"release": "k8s-1.36", "datapath": "mesh", "cni": "bridge", "namespace": "datapath"}
    file.write_text(stage.DESCRIPTION.format(pools=stage.POOLS[shape], **values))
    counts = {"one": 1, "two": 2, "three": 3, "five": 5}
    assert sum(pool.count for pool in load(file).pools) == counts[shape]


def test_an_image_of_tests_is_in_a_lock_beside_the_cluster_alone(tmp_path: Path) -> None:
    lock = table.ROOT / "generator" / "release" / "locks" / "k8s-1.36.yaml"
    (tmp_path / "releases").mkdir()
    file = tmp_path / "releases" / "own.yaml"
    file.write_text(lock.read_text().replace("name: k8s-1.36\n", "name: own\n"))
    brought = images.Image("probe", f"{images.REPOSITORY}/probe:1", f"sha256:{'0' * 64}")
    for _ in range(2):
        images.bring(tmp_path, [brought], "own")
    names = [image["name"] for image in yaml.safe_load(file.read_text())["images"]]
    assert names.count("probe") == 1
    assert "probe" not in json.dumps(yaml.safe_load(lock.read_text()))
