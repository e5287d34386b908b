"""What is rendered from descriptions, as a reviewer sees it; `pytest --update` writes it, git shows the change."""

from __future__ import annotations

from pathlib import Path

import pytest

from generator.documents import render
from tests.described import TUTORIAL

from . import facts
from .conftest import TESTS, Golden

CLUSTERS = {
    "tutorial": ("nodes/node01/user-data", "nodes/node03/user-data"),
    "one-control-plane-two-workers": ("nodes/cp01/user-data", "nodes/worker02/user-data"),
    "through-the-vpc": ("nodes/worker01/user-data",),
}
WHOLE = ("summary.md", "roster.json", "inventory.yaml")


@pytest.fixture(params=CLUSTERS)
def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, dict[str, bytes]]:
    name: str = request.param
    file = TESTS / "clusters" / f"{name}.yaml"
    if name == "tutorial":
        file = tmp_path / "cluster.yaml"
        file.write_text(TUTORIAL)
    return name, render.documents(facts.load(file))


def test_documents(cluster: tuple[str, dict[str, bytes]], golden: Golden) -> None:
    name, files = cluster
    for path in (*CLUSTERS[name], *WHOLE):
        golden.check(TESTS / "golden" / name / path, files[path].decode())


def test_list_of_files(cluster: tuple[str, dict[str, bytes]], golden: Golden) -> None:
    name, files = cluster
    golden.check(TESTS / "golden" / name / "files.txt", "".join(f"{path}\n" for path in sorted(files)))


@pytest.mark.parametrize("name", CLUSTERS)
def test_no_golden_file_is_left_over(name: str) -> None:
    place = TESTS / "golden" / name
    there = {path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file()}
    assert there == {*CLUSTERS[name], *WHOLE, "files.txt"}
