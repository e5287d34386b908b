"""Rendering as a whole: pure, the same everywhere, without a key, and only what changed is written."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
import yaml

from generator.cli.main import run
from generator.documents import committed, render
from generator.errors import Problem, Problems
from generator.plan.inventory import Inventory
from generator.plan.project import Project
from generator.release import lock_file
from tests.described import POOL as LINE
from tests.described import TUTORIAL

from . import facts
from .conftest import TESTS

POOL = f"{LINE}\n"
WORKERS = "- {{name: worker, role: worker, count: {}, size: s-1vcpu-1gb}}\n"


def write(directory: Path, text: str = TUTORIAL) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "cluster.yaml"
    file.write_text(text)
    return file


def rendered(file: Path, now: datetime) -> dict[str, bytes]:
    """Render as the command does, and give what is on the disk then."""
    project = render.refresh(Project.load(file), now=now)
    committed.write(project, render.documents(project))
    return on_disk(project.rendered_path)


def on_disk(directory: Path) -> dict[str, bytes]:
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A rendered cluster with real keys, to be copied."""
    directory = tmp_path_factory.mktemp("tree")
    rendered(write(directory), datetime.fromisoformat("2026-11-22T08:30:00Z"))
    return directory


@pytest.fixture
def own(tree: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may change."""
    shutil.copytree(tree, tmp_path / "own")
    return tmp_path / "own" / "cluster.yaml"


def test_another_secret_of_an_addon_changes_no_document(own: Path) -> None:
    now = datetime.fromisoformat("2026-11-22T08:30:00Z")
    before = rendered(own, now)
    pull = own.parent / "keys/orderbook/addons/order-book/registry/.dockerconfigjson"
    pull.parent.mkdir(mode=0o700)
    for content in (b'{"auths": {"r.example": {"auth": "YTpi"}}}', b'{"auths": {"r.example": {"auth": "YTpj"}}}'):
        pull.write_bytes(content)
        pull.chmod(0o600)
        after = rendered(own, now)
        changed = {path for path in before | after if before.get(path) != after.get(path)}
        assert changed == {"inventory.yaml", "roster.json"}
        old, new = (yaml.safe_load(files["inventory.yaml"]) for files in (before, after))
        assert {key for key in new if old[key] != new[key]} == {"secrets", "signature"}
        assert json.loads(after["roster.json"])["secrets"] == new["secrets"]
        before = after


def test_another_path_another_day_another_process_the_same_bytes(own: Path, tree: Path) -> None:
    before = on_disk(tree / "rendered")
    shutil.rmtree(own.parent / "rendered" / "orderbook" / "nodes")
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONHASHSEED": "4711",
        "TZ": "Pacific/Kiritimati",
        "LANG": "tr_TR.UTF-8",
        "HOME": str(own.parent),
    }
    command = [sys.executable, "-m", "generator", "render", "-f", own.name]
    subprocess.run(command, cwd=own.parent, env=environment, check=True, umask=0o077, capture_output=True)
    assert on_disk(own.parent / "rendered") == before


def test_a_month_later_nothing_changes(own: Path, tree: Path, now: datetime) -> None:
    assert rendered(own, now + timedelta(days=30)) == on_disk(tree / "rendered" / "orderbook")


def test_a_lock_with_other_digests_changes_nothing_else(own: Path) -> None:
    """What boots from a made lock is what boots from upstream's, but for the digests of what is downloaded."""
    project = Project.load(own)
    changed = {
        "artifacts": tuple(replace(file, sha256=_other(file.sha256)) for file in project.release.artifacts),
        "packages": tuple(replace(file, sha256=_other(file.sha256)) for file in project.release.packages),
        "images": tuple(replace(image, digest=f"sha256:{_other(image.name)}") for image in project.release.images),
    }
    made = lock_file.parse(lock_file.dump(replace(project.release, **changed)), "made")
    before, after = render.documents(project), render.documents(replace(project, release=made))
    assert before.keys() == after.keys()
    assert before != after
    for path in before:
        if path.startswith(("nodes/", "addons/")):
            assert _without_digests(before[path]) == _without_digests(after[path]), path


def _other(name: str) -> str:
    return sha256(f"other {name}".encode()).hexdigest()


def _without_digests(content: bytes) -> bytes:
    return re.sub(rb"(@sha256:)?\b[0-9a-f]{64}\b", b"", content)


def test_no_keys_are_needed_to_check(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(own.parent / "keys")
    assert run(["render", "--check", "-f", str(own)]) == 0
    assert capsys.readouterr().out == ""


def test_check_shows_what_differs_and_changes_nothing(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = own.parent / "rendered" / "orderbook" / "nodes" / "node02" / "user-data"
    document.write_text(document.read_text().replace("hardway.target", "other.target"))
    (document.parent / "stray").write_text("x\n")
    before = on_disk(own.parent)
    assert run(["render", "--check", "-f", str(own)]) == 1
    out, err = capsys.readouterr()
    assert "--- a/nodes/node02/user-data" in out
    assert "\n+- [systemctl, start, --no-block, hardway.target]" in out
    assert "and not a file of ours: nodes/node02/stray" in out
    assert "is not what would be rendered" in err
    assert on_disk(own.parent) == before


def test_only_what_changed_is_written_and_what_is_stale_goes(own: Path) -> None:
    project = Project.load(own)
    stale = project.rendered_path / "nodes" / "node09" / "user-data"
    stale.parent.mkdir()
    stale.write_text("x")
    (project.rendered_path / "roster.json").write_text("{}")
    times = {path: path.stat().st_mtime_ns for path in project.rendered_path.rglob("user-data")}
    assert len(times) == len(project.plan.nodes) + 1
    changes = committed.write(project, render.documents(project))
    assert changes == committed.Changes(written=("roster.json",), removed=("nodes/node09/user-data",))
    assert not stale.parent.exists()
    assert {path: path.stat().st_mtime_ns for path in project.rendered_path.rglob("user-data")} == {
        path: time for path, time in times.items() if path != stale
    }


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_one_more_worker_changes_no_other_document(tmp_path: Path, workers: int) -> None:
    def documents(directory: str, count: int, before: Inventory | None) -> tuple[Mapping[str, bytes], Project]:
        text = TUTORIAL.replace(POOL, POOL + WORKERS.format(count))
        project = facts.load(write(tmp_path / directory, text), before)
        return render.documents(project), project

    assert POOL in TUTORIAL
    small, project = documents("small", workers, None)
    large, _ = documents("large", workers + 1, project.inventory)
    nodes = {path: content for path, content in small.items() if path.startswith("nodes/")}
    assert len(nodes) == 3 + workers
    assert nodes.items() <= large.items()
    assert large.keys() - small.keys() == {f"nodes/worker{workers + 1:02}/user-data"}


def test_growing_with_real_keys_changes_no_other_document(own: Path, now: datetime) -> None:
    before = on_disk(own.parent / "rendered" / "orderbook")
    own.write_text(TUTORIAL.replace(POOL, POOL + WORKERS.format(1)))
    with pytest.raises(Problems):
        render.documents(Project.load(own))
    after = rendered(own, now)
    assert after.keys() - before.keys() == {"nodes/worker01/user-data"}
    nodes = {path: content for path, content in before.items() if path.startswith("nodes/")}
    assert nodes.items() <= after.items()
    assert b"worker01: 4" in after["inventory.yaml"]


def test_a_node_that_comes_back_is_the_one_it_was(own: Path, now: datetime) -> None:
    own.write_text(TUTORIAL.replace(POOL, POOL + WORKERS.format(2)))
    before = rendered(own, now)
    own.write_text(TUTORIAL)
    without = rendered(own, now)
    assert b"nodes/worker01/" not in without["inventory.yaml"]
    own.write_text(TUTORIAL.replace(POOL, POOL + WORKERS.format(2)))
    assert rendered(own, now) == before


def secrets(keys: Path) -> Iterator[bytes]:
    """Give every secret of a store in the forms it may leak in."""
    for path in sorted(keys.rglob("*")):
        if not path.is_file() or path.suffix == ".crt" or path.name == "cluster-id":
            continue
        text = path.read_bytes().strip()
        body = b"".join(text.splitlines()[1:-1]) if text.startswith(b"-----") else text
        yield from (body, base64.b64encode(body), body.hex().encode())
        if text.startswith(b"-----"):
            raw = base64.b64decode(body)
            yield from (text, raw, raw.hex().encode(), base64.b64encode(text))


def leaks(files: Mapping[str, bytes], found: list[bytes]) -> list[str]:
    flat = {path: b"".join(content.split()) for path, content in files.items()}
    return [
        path
        for path, content in files.items()
        for secret in found
        if secret in content or b"".join(secret.split()) in flat[path]
    ]


def test_no_secret_is_rendered(tree: Path) -> None:
    files, found = on_disk(tree / "rendered"), list(secrets(tree / "keys" / "orderbook"))
    assert len(found) > 100
    assert leaks(files, found) == []
    assert not any(b"PRIVATE KEY" in content for content in files.values())
    for canary in (found[0], found[50], found[-1]):
        assert leaks({**files, "canary": b"x " + canary + b" y"}, found) == ["canary"] * found.count(canary)


def test_no_document_names_the_bucket_or_an_endpoint(tree: Path) -> None:
    for path, content in on_disk(tree / "rendered" / "orderbook" / "nodes").items():
        assert b"digitaloceanspaces" not in content, path
        assert b"orderbook-hardway" not in content, path
        assert b"api.digitalocean.com" not in content, path
        assert b"X-Amz" not in content, path


def test_a_changed_network_contradicts_the_certificates(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own.write_text(TUTORIAL.replace("services: 10.43.0.0/16", "services: 10.45.0.0/16"))
    before = on_disk(own.parent)
    for arguments in (["check"], ["render"], ["render", "--check"]):
        assert run([*arguments, "-f", str(own)]) == 1
        assert "apiserver" in capsys.readouterr().err
    assert on_disk(own.parent) == before


def test_a_lost_key_is_never_made_anew(own: Path, now: datetime) -> None:
    (own.parent / "keys" / "orderbook" / "operator.key").unlink()
    before = on_disk(own.parent)
    with pytest.raises(Problems) as caught:
        render.refresh(Project.load(own), now=now)
    assert "operator" in str(caught.value)
    assert on_disk(own.parent) == before


def test_checking_before_the_first_render_says_so(tmp_path: Path) -> None:
    with pytest.raises(Problem) as caught:
        render.documents(Project.load(write(tmp_path)))
    assert "run `gen render`" in str(caught.value)


def test_another_clusters_inventory_is_refused(own: Path) -> None:
    path = own.parent / "rendered" / "orderbook" / "inventory.yaml"
    path.write_text(path.read_text().replace("name: orderbook", "name: other"))
    with pytest.raises(Problem) as caught:
        Project.load(own)
    assert "'other', not 'orderbook'" in str(caught.value)


def test_the_largest_description_fits(tmp_path: Path) -> None:
    project = facts.load(TESTS / "clusters" / "largest-names.yaml")
    files = render.documents(project)
    sizes = {len(content) for path, content in files.items() if path.startswith("nodes/")}
    assert max(sizes) <= 48 * 1024
    assert len(project.plan.nodes) == 205


def test_documents_and_roster_are_told_apart(tree: Path) -> None:
    """A document knows its own node and the control planes; all routes are in the roster alone."""
    text = (tree / "rendered" / "orderbook" / "nodes" / "node01" / "user-data").read_text()
    paths = {file["path"] for file in yaml.safe_load(text)["write_files"]}
    assert {"/etc/hardway/node.json", "/etc/hardway/artifacts.json"} <= paths
    assert "10.42.0.0/24" in text
    assert "10.42.1.0/24" not in text
