"""Manifests lie in a repository whose author may be anyone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from generator.errors import Problem
from generator.manifests import kustomization, reading
from generator.manifests.reading import Item

CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: b}\n"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "addons/shop").mkdir(parents=True)
    (tmp_path / "outside.yaml").write_text(CONFIG)
    return tmp_path / "addons/shop"


def read(place: Path) -> tuple[list[Item], list[str]]:
    problems: list[Problem] = []
    items = reading.directory(place.parent.parent, "addons/shop", problems)
    return items, [f"{Path(problem.where or '').name}: {problem.message}" for problem in problems]


def test_all_files_that_are_manifests_are_read_in_order(place: Path) -> None:
    (place / "b.yml").write_text(f"# first\n---\n{CONFIG}---\n---\n{CONFIG}")
    (place / "sub").mkdir()
    (place / "sub/a.json").write_text('{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "j"}}')
    (place / "README.md").write_text("&& no manifest")
    items, problems = read(place)
    assert problems == []
    assert [(item.identity.name, Path(item.where("kind")).name) for item in items] == [
        ("a", "b.yml:4"),
        ("a", "b.yml:9"),
        ("j", "a.json:1"),
    ]


def test_no_link_and_nothing_special_is_opened(place: Path) -> None:
    (place / "link.yaml").symlink_to("../../outside.yaml")
    os.mkfifo(place / "pipe.yaml")
    (place / "directory").symlink_to("..")
    items, problems = read(place)
    assert items == []
    assert problems == [
        "directory: lies among manifests as a symbolic link",
        "link.yaml: lies among manifests as a symbolic link",
        "pipe.yaml: lies among manifests, and is no regular file",
    ]


def test_each_directory_without_manifests_is_named(tmp_path: Path) -> None:
    problems: list[Problem] = []
    for name in ("one", "two"):
        assert reading.directory(tmp_path, name, problems) == []
    assert [(one.where, one.message) for one in problems] == [
        (str(tmp_path / name), "holds no manifests") for name in ("one", "two")
    ]


@pytest.mark.parametrize("hidden", ["keys", "Rendered", ".git"])
def test_nothing_is_read_of_what_is_closed(place: Path, hidden: str) -> None:
    (place / f"sub/{hidden}/prod").mkdir(parents=True)
    (place / f"sub/{hidden}/prod/a.yaml").write_text(CONFIG)
    items, problems = read(place)
    assert items == []
    assert problems == [f"a.yaml: lies among manifests, but in `{hidden}`, of which nothing is read"]


def test_no_directory_on_the_way_is_a_link(tmp_path: Path, place: Path) -> None:
    (place / "a.yaml").write_text(CONFIG)
    (tmp_path / "short").symlink_to("addons/shop")
    problems: list[Problem] = []
    assert reading.directory(tmp_path, "short", problems) == []
    assert "symbolic link" in problems[0].message


def test_a_file_that_is_too_long_is_not_read(place: Path) -> None:
    with (place / "a.yaml").open("wb") as file:
        file.truncate(reading.LIMIT_BYTES + 1)
    assert read(place)[1] == ["a.yaml: the file has 2,097,153 bytes, at most 2,097,152 are read"]


def test_depth_without_end_is_refused(place: Path) -> None:
    (place / "a.yaml").write_text("a: " + "[" * 100 + "]" * 100)
    (place / "b.json").write_text("[" * 100_000)
    messages = read(place)[1]
    assert messages == ["a.yaml:1: nested deeper than 64 levels", "b.json:1: nested deeper than 64 levels"]


@pytest.mark.parametrize("written", ["resources: [link.yaml]", "configMapGenerator: [{name: a, files: [link.yaml]}]"])
def test_a_kustomization_follows_no_link(place: Path, written: str) -> None:
    (place / "link.yaml").symlink_to("../../outside.yaml")
    (place / "kustomization.yaml").write_text(written)
    problems: list[Problem] = []
    kustomization.build(place.parent.parent, "addons/shop", problems)
    assert ["symbolic link" in problem.message for problem in problems] == [True]
