"""What the droplet does that is made to be copied: it brings, and what is its own is gone before it switches off."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from generator.files import resource
from tests.unit.node.conftest import here

sys.path.insert(0, str(resource("userdata") / "bake/usr/local/lib"))

import hardway_bake
from hardway import binaries, fetch
from hardway.here import Failure

KEPT = (
    "etc/hostname",
    "etc/ssh/sshd_config",
    "opt/hardway/installed/kubelet-0a.part",
    "var/lib/containerd/x/y",
    "root/.profile",
)
INSTALLED = {"": "/usr/local/bin/kubelet"}
ARTIFACTS = {"version": 1, "artifacts": [{"name": "kubelet", "sha256": "0a", "install": INSTALLED}], "packages": []}


def made(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("its own")


def examples() -> Iterator[str]:
    """Give a file for each place that is a droplet's own."""
    for pattern in hardway_bake.OWN:
        path = pattern.replace("*", "0")
        yield path if "." in Path(path).name or pattern.startswith("etc/machine") else f"{path}/deep/file"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(here, "ROOT", tmp_path)
    return tmp_path


def test_all_that_is_its_own_is_gone_and_nothing_else(root: Path) -> None:
    made(root, *examples(), *KEPT, "var/log/auth.log", "var/log/deep/er.log", "usr/local/bin/kubelet")
    (root / hardway_bake.ARTIFACTS).write_text(json.dumps(ARTIFACTS))
    hardway_bake.tidy(root)
    left = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() and path.stat().st_size}
    assert left == set(KEPT)
    assert (root / "etc/machine-id").read_text() == ""
    assert not list(root.glob("var/lib/cloud/*"))


def test_a_link_is_removed_and_not_what_it_leads_to(root: Path) -> None:
    made(root, *KEPT)
    for place in ("tmp/link", "var/lib/cloud/instance"):
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).symlink_to(root / "etc")
    hardway_bake.tidy(root)
    assert all((root / path).exists() for path in KEPT)


@pytest.fixture
def told(root: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Let a droplet be told what to do, and keep what it says and runs."""
    made(root, *KEPT)
    (root / hardway_bake.TOLD).parent.mkdir(parents=True)
    (root / hardway_bake.TOLD).write_text(json.dumps({"name": "n", "url": "https://x/", "images": ["a@sha256:0a"]}))
    (root / "etc/hardway").mkdir(parents=True)
    (root / hardway_bake.ARTIFACTS).write_text(json.dumps(ARTIFACTS))
    said: list[dict[str, Any]] = []
    monkeypatch.setattr(fetch, "ask", lambda _url, body, _method, **_: said.append(json.loads(body)))
    monkeypatch.setattr(binaries, "get", lambda _: None)
    monkeypatch.setattr(hardway_bake, "pull", lambda images, report, _: report("pulling", len(images), len(images)))
    monkeypatch.setattr(hardway_bake.time, "sleep", lambda _: None)
    monkeypatch.setattr(
        subprocess, "run", lambda argv, **_: said.append({"ran": [*argv]}) or subprocess.CompletedProcess(argv, 0)
    )
    return said


def test_it_says_how_far_it_is_and_switches_off_at_the_end(root: Path, told: list[dict[str, Any]]) -> None:
    assert hardway_bake.main(root) == 0
    steps = [(one["step"], one["done"], one["of"]) for one in told if "step" in one]
    assert steps == [("fetching", 0, 0), ("fetching", 1, 1), ("pulling", 1, 1), ("tidying", 0, 0), ("done", 0, 0)]
    assert {one["name"] for one in told if "step" in one} == {"n"}
    assert told[-1] == {"ran": ["systemctl", "--no-block", "poweroff"]}


def test_what_fails_for_good_is_said_and_it_stays_on(
    root: Path, told: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[object] = []

    def fails(item: object) -> None:
        tries.append(item)
        raise Failure("dl.k8s.io answered 503")

    monkeypatch.setattr(binaries, "get", fails)
    assert hardway_bake.main(root) == 1
    assert len(tries) == 5
    assert told[-1] == {"version": 1, "name": "n", "step": "failed", "why": "dl.k8s.io answered 503"}
    assert all((root / path).exists() for path in KEPT)


def test_what_fails_for_a_while_is_tried_again(
    root: Path, told: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes: list[Callable[[], None]] = [lambda: (_ for _ in ()).throw(Failure("busy")), lambda: None]
    monkeypatch.setattr(binaries, "get", lambda _: outcomes.pop(0)())
    assert hardway_bake.main(root) == 0
    assert outcomes == []


def test_that_nobody_hears_it_stops_nothing(
    root: Path, told: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def deaf(*_: object, **__: object) -> None:
        raise Failure("answered 403")

    monkeypatch.setattr(fetch, "ask", deaf)
    assert hardway_bake.main(root) == 0
    assert told[-1]["ran"][0] == "systemctl"
