"""An installed wheel renders what a checkout renders, with nothing of the checkout in reach."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from generator.cli.main import run

from .test_render import on_disk

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel without the network and unpack it, modes included, as an installer does."""
    directory = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(directory)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = directory.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            path = Path(archive.extract(member, directory / "site"))
            path.chmod(0o755 if member.external_attr >> 16 & 0o111 else 0o644)
    return directory / "site"


def gen(site: Path, cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return python(site, cwd, "-m", "generator", *arguments)


def python(site: Path, cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "HOME": str(cwd), "PYTHONPATH": str(site)}
    command = [sys.executable, "-P", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, check=True, capture_output=True, text=True)


def test_the_wheel_renders_as_the_checkout_does(site: Path, tmp_path: Path) -> None:
    place = python(site, tmp_path, "-c", "import generator; print(generator.__file__)").stdout
    assert place.startswith(str(site))
    gen(site, tmp_path, "init", "--api", "8.8.8.8")
    gen(site, tmp_path, "render")
    before = on_disk(tmp_path / "rendered")
    assert (tmp_path / "keys" / ".gitignore").read_text() == (ROOT / "keys" / ".gitignore").read_text()
    assert run(["render", "-f", str(tmp_path / "cluster.yaml")]) == 0
    assert on_disk(tmp_path / "rendered") == before


def test_the_wheel_holds_no_key_and_no_cluster(site: Path) -> None:
    names = {path.relative_to(site / "generator" / "_data").parts[:2] for path in site.rglob("_data/keys/*")}
    assert names == {("keys", ".gitignore"), ("keys", "README.md")}
    assert not list(site.rglob("*.key"))
