"""What cloud-init makes of our documents: its own schema has no objection, and every file comes out as it went in."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from generator.catalogue import USER_DATA_BYTES
from generator.documents import user_data
from generator.plan.decide import Plan
from generator.plan.node import Node
from generator.probe import document as probe_document

from .. import facts
from ..conftest import TESTS

SCHEMA = "usr/lib/python3/dist-packages/cloudinit/config/schemas/schema-cloud-config-v1.json"
CLUSTERS = sorted((TESTS / "clusters").glob("*.yaml"))


def _roots() -> list[Path]:
    """Find systems that have cloud-init: this one, and the lab's base."""
    cache = Path(os.environ.get("HARDWAY_CACHE", "~/.cache/hardway")).expanduser()
    return [root for root in (Path("/"), *sorted(cache.glob("roots/*"))) if (root / SCHEMA).is_file()]


def _nodes() -> list[tuple[Plan, Node]]:
    """Take one node of each role and cluster."""
    plans = [facts.load(file).plan for file in CLUSTERS]
    plans.append(replace(facts.debugged(plans[0]), name="debugged"))
    return [(plan, node) for plan in plans for node in (plan.control_planes[-1:] + plan.workers[-1:])]


NODES = _nodes()


@pytest.fixture(params=NODES, ids=lambda pair: f"{pair[0].name}-{pair[1].name}")
def node(request: pytest.FixtureRequest) -> tuple[Plan, Node]:
    pair: tuple[Plan, Node] = request.param
    return pair


def test_round_trip(node: tuple[Plan, Node]) -> None:
    files = user_data.files(*node)
    text = user_data.document(*node)
    written = yaml.safe_load(text)["write_files"]
    assert [(file["path"], file["content"]) for file in written] == [(str(file.path), file.content) for file in files]
    assert [int(file.get("permissions", "0644"), 8) for file in written] == [file.mode for file in files]
    assert all(file.keys() <= {"path", "content", "permissions"} for file in written)
    assert text.isascii()
    assert len(text.encode()) <= 48 * 1024


def test_schema(node: tuple[Plan, Node]) -> None:
    roots = _roots()
    if not roots:
        pytest.skip("no cloud-init here; `gen lab build` makes a base that has it")
    config = yaml.safe_load(user_data.document(*node))
    for root in roots:
        schema: dict[str, Any] = json.loads((root / SCHEMA).read_text())
        jsonschema.Draft4Validator(schema).validate(config)
        spoilt = {**config, "runcmmd": [], "write_files": [{"path": "/x", "permissions": 420}]}
        assert list(jsonschema.Draft4Validator(schema).iter_errors(spoilt))


def test_cloud_inits_own_check(node: tuple[Plan, Node], tmp_path: Path) -> None:
    """Ask the program itself; in the lab's base it runs under that system's own Python."""
    roots = _roots()
    if not roots or os.geteuid() != 0:
        pytest.skip("no cloud-init here, or not root; `gen lab build` makes a base that has it")
    document = user_data.document(*node)
    for root in roots:
        verdict = _ask(root, document)
        assert verdict.returncode == 0, verdict.stderr
        assert "Valid schema" in verdict.stdout
        assert "deprecat" not in (verdict.stdout + verdict.stderr).lower()
    assert _ask(roots[0], document.replace("runcmd:", "runcmmd:")).returncode != 0


def _ask(root: Path, document: str) -> subprocess.CompletedProcess[str]:
    # In a mount namespace of its own, so that nothing of what it mounts or writes stays.
    script = f"""
        mount -t tmpfs tmpfs "{root}/tmp"
        cat > "{root}/tmp/user-data"
        exec chroot "{root}" cloud-init schema --config-file /tmp/user-data
    """
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-euc", script]
    return subprocess.run(command, input=document, capture_output=True, text=True, check=False)


def test_the_probes_document_passes_as_well() -> None:
    roots = _roots()
    if not roots:
        pytest.skip("no cloud-init here; `gen lab build` makes a base that has it")
    config = yaml.safe_load(probe_document.document())
    for root in roots:
        schema: dict[str, Any] = json.loads((root / SCHEMA).read_text())
        jsonschema.Draft4Validator(schema).validate(config)
        if os.geteuid() == 0:
            verdict = _ask(root, probe_document.document())
            assert (verdict.returncode, "Valid schema" in verdict.stdout) == (0, True), verdict.stderr


def test_cloud_init_reads_the_probes_parts() -> None:
    """Have the lab's own cloud-init take the message apart, as it does on a droplet."""
    roots = [root for root in _roots() if root != Path("/")]
    if not roots or os.geteuid() != 0:
        pytest.skip("no base of the lab here, or not root; `gen lab build` makes it")
    told = probe_document.Told("n", "https://fra1.digitaloceanspaces.com/b/k?X-Amz-Signature=0", "ssh-ed25519 AAAA x")
    text = probe_document.user_data(told, length=USER_DATA_BYTES)
    read = """
import json, sys
from cloudinit.helpers import Paths
from cloudinit.user_data import UserDataProcessor
message = UserDataProcessor(Paths({})).process(sys.stdin.buffer.read())
leaves = [part for part in message.walk() if not part.is_multipart()]
print(json.dumps([(part.get_content_type(), part.get_payload(decode=True).decode()) for part in leaves]))
"""
    command = ["chroot", str(roots[0]), "/usr/bin/python3", "-c", read]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
    (kind, config), (hook_kind, hook) = json.loads(done.stdout)
    assert (kind, hook_kind) == ("text/cloud-config", "text/cloud-boothook")
    assert yaml.safe_load(config) == yaml.safe_load(probe_document.document())
    assert hook.startswith("#!/bin/sh\n")
