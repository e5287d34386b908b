"""Merges a stranger's change into the operator's repository and says what the operator's verbs made of it."""

from __future__ import annotations

import base64
import json
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import yaml

from generator.documents import committed, render
from generator.plan.project import Project
from tests.attack.stage import WORKER, Stage, copied
from tests.e2e import secrets
from tests.e2e.harness import GEN, run

RENDERED = "rendered/orderbook"
THIEF = base64.b64encode(bytes(range(32))).decode()


def pull_request(on: Stage) -> list[str]:
    """Try every change; give those that a launch would carry out, and what became of the keys."""
    launch = ["launch", f"--lab={on.cluster.lab.name}", "--dry-run", "--yes"]
    run(GEN, *launch, cwd=on.cluster.directory)  # without any change it would carry on
    reached = set()
    known = secrets.of_store(on.store)
    for name, change in CHANGES.items():
        with tempfile.TemporaryDirectory() as scratch:
            directory = copied(on, Path(scratch) / "repository")
            before = _files(directory / "keys")
            change(directory)
            said = b""
            for verb in (["render", "--check"], launch):
                done = run(GEN, *verb, cwd=directory, check=False)
                said += (done.stdout + done.stderr).encode()
            if done.returncode == 0:
                reached.add(f"a launch carries out: {name}")
            done = run(GEN, "render", cwd=directory, check=False)
            said += (done.stdout + done.stderr).encode()
            if _files(directory / "keys") != before:
                reached.add(f"the keys are changed by: {name}")
            if secrets.search(known, {"said": said}):
                reached.add(f"keys are shown by: {name}")
    return sorted(reached)


def _everywhere(directory: Path, old: str, new: str) -> None:
    for path in (directory / "rendered").rglob("*"):
        if path.is_file() and old in (text := path.read_text()):
            path.write_text(text.replace(old, new))


def _operator(directory: Path) -> None:
    rows = yaml.safe_load((directory / RENDERED / "inventory.yaml").read_text())["keys"]
    [public] = [row["public"] for row in rows if row["path"] == "operator"]
    _everywhere(directory, public, THIEF)


def _mesh(directory: Path) -> None:
    for node in json.loads((directory / RENDERED / "roster.json").read_text())["nodes"]:
        _everywhere(directory, node["wireguard"], THIEF)


def _document(directory: Path) -> None:
    document = directory / RENDERED / "nodes" / WORKER / "user-data"
    document.write_text(f"{document.read_text()}ssh_authorized_keys: [ssh-ed25519 {THIEF}]\n")


def _agent(directory: Path) -> None:
    file = next((directory / RENDERED / "agent").rglob("*.py"))
    file.write_text(f"{file.read_text()}print(open('/etc/hardway/report.key').read())\n")


def _addon(directory: Path) -> None:
    file = next((directory / RENDERED / "addons").rglob("*.yaml"))
    file.write_text(f"{file.read_text()}---\n{{apiVersion: v1, kind: Secret, metadata: {{name: thief}}}}\n")


def _link(directory: Path) -> None:
    document = directory / RENDERED / "nodes" / WORKER / "user-data"
    document.unlink()
    document.symlink_to(directory / "keys/orderbook/operator.key")


def _directory_link(directory: Path) -> None:
    shutil.rmtree(directory / RENDERED)
    (directory / RENDERED).symlink_to("../keys/orderbook")


def _number(directory: Path) -> None:
    file = directory / RENDERED / "inventory.yaml"
    file.write_text(re.sub(r"(worker01: *)\d+", r"\g<1>1", file.read_text()))


def _digest(directory: Path) -> None:
    """Change what a binary is, and render: that needs no key."""
    lock = directory / "releases/k8s-1.36-source.yaml"
    found = re.search(r"sha256: \"?([0-9a-f]{64})", lock.read_text())
    assert found
    lock.write_text(lock.read_text().replace(found[1], "ab" * 32))
    project = Project.load(directory / "cluster.yaml")
    committed.write(project, render.documents(project))


def _everybody(directory: Path) -> None:
    file = directory / "cluster.yaml"
    file.write_text(file.read_text().replace("28.51.100.7/32", "0.0.0.0/0"))


CHANGES: dict[str, Callable[[Path], None]] = {
    "another key of the operator, wherever it stands": _operator,
    "other keys of the mesh, wherever they stand": _mesh,
    "a document that lets somebody in": _document,
    "another line in what nodes run": _agent,
    "another object among the addons": _addon,
    "a document that is a link to a key": _link,
    "documents that are a link to the keys": _directory_link,
    "two nodes with one number": _number,
    "another digest in a lock, rendered: what a review sees and lets pass": _digest,
    "an API that is open to all": _everybody,
}


def _files(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}
