"""What a droplet is told that is made to be copied, and what it says."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest
import yaml

from generator.bake import document, report
from generator.bake.document import Told
from generator.catalogue import USER_DATA_BYTES
from generator.plan import baking
from tests import facts
from tests.conftest import TESTS

CLUSTERS = sorted((TESTS / "clusters").glob("*.yaml"))
LONGEST = Told("hardway-bake-0123456789ab-0a1b2c", f"https://fra1.digitaloceanspaces.com/{'x' * 900}", "https://x/y/")


@pytest.mark.parametrize("file", CLUSTERS, ids=lambda path: path.stem)
def test_the_order_fits_and_pins_what_every_node_takes(file: Path) -> None:
    project = facts.load(file)
    plan, content = project.plan, baking.content(project.plan, project.release)
    assert len(document.user_data(content, LONGEST)) < USER_DATA_BYTES - 8 * 1024, "there is room for what comes"
    files = {one["path"]: one["content"] for one in yaml.safe_load(document.document(content))["write_files"]}
    lists = json.loads(files["/etc/hardway/artifacts.json"])
    wanted = {(one.name, one.sha256) for node in plan.nodes for one in (*plan.artifacts(node), *plan.packages(node))}
    assert {(one["name"], one["sha256"]) for name in ("artifacts", "packages") for one in lists[name]} == wanted


def test_no_file_is_written_to_the_disk_but_the_list_that_is_removed() -> None:
    project = facts.load(CLUSTERS[0])
    written = yaml.safe_load(document.document(baking.content(project.plan, project.release)))["write_files"]
    assert {one["path"] for one in written if not one["path"].startswith("/run/")} == {"/etc/hardway/artifacts.json"}


def test_all_of_the_agent_comes_that_its_first_module_needs() -> None:
    found = document.modules("binaries")
    there = {path.stem for path in found}
    assert "binaries" in there
    for text in found.values():
        for one in ast.walk(ast.parse(text)):
            if isinstance(one, ast.ImportFrom) and one.module == "hardway":
                assert {alias.name for alias in one.names} <= there
            if isinstance(one, ast.ImportFrom) and (one.module or "").startswith("hardway."):
                assert str(one.module).partition(".")[2] in there


@pytest.mark.parametrize(
    "body",
    [
        None,
        b"",
        b"\xff",
        b"[" * 100_000,
        b"[]",
        b'"done"',
        b'{"name": "b", "step": "done"}',
        b'{"name": "a", "step": "ready"}',
        b'{"name": "a", "step": ["done"]}',
    ],
)
def test_what_is_no_report_of_this_droplet_says_nothing(body: bytes | None) -> None:
    assert report.read(body, "a") == report.Report()


def test_a_report_can_not_move_the_cursor() -> None:
    told = {"name": "a", "step": "failed", "why": "x\x1b[2J\n" + "y" * 5000, "done": "many", "of": None}
    found = report.read(json.dumps(told).encode(), "a")
    assert (found.done, found.of, len(found.why)) == (0, 0, report.WHY_LENGTH)
    assert found.why.startswith("x[2Jy")
