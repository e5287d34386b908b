"""What most tests of verbs begin with: the tutorial's project, rendered once, and a world for it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from generator.lab.unkindness import KIND, Unkindness
from generator.pki.store import KeyStore
from generator.plan.project import Project
from tests.contract.operating import render_tutorial, versitygw
from tests.contract.world import World, running


@pytest.fixture(scope="module")
def gateway() -> Path:
    """The object store, found before a test has a cache of its own."""
    return versitygw()


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("project")
    render_tutorial(directory)
    return directory


@pytest.fixture
def project(rendered: Path, tmp_path: Path) -> Project:
    shutil.copytree(rendered, tmp_path / "project")
    return Project.load(tmp_path / "project" / "cluster.yaml")


@pytest.fixture
def unkindness() -> Unkindness:
    """How the provider is; a module that wants another one says so."""
    return KIND


@pytest.fixture
def world(gateway: Path, project: Project, tmp_path: Path, unkindness: Unkindness) -> Iterator[World]:
    with running(tmp_path, gateway, unkindness) as made:
        made.inhabit(project.plan, KeyStore.open(project.keys_path, project.plan, project.inventory))
        yield made
