"""What systemd makes of our units: Debian 13's own verifier reads them where they will lie, and finds nothing."""

from __future__ import annotations

import io
import os
import re
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

import pytest

from generator.documents import agent, user_data
from generator.plan.decide import Node, Plan

from .. import facts
from ..conftest import TESTS

UNITS = PurePosixPath("/etc/systemd/system")
PLAN = facts.load(TESTS / "clusters" / "one-control-plane-two-workers.yaml").plan
NODES = (PLAN.control_planes[0], PLAN.workers[0])
# Links that unpacking a package makes.
PROGRAM = b"#!/bin/true\n"
FROM_PACKAGES = ("/usr/local/sbin/haproxy", "/usr/local/sbin/nft", "/usr/local/sbin/wg")


@pytest.fixture(params=NODES, ids=lambda node: node.role)
def node(request: pytest.FixtureRequest) -> Node:
    one: Node = request.param
    return one


@pytest.fixture
def files(node: Node) -> dict[str, user_data.NodeFile]:
    return {str(file.path): file for file in user_data.files(PLAN, node)}


@pytest.fixture(scope="module")
def base() -> Path:
    cache = Path(os.environ.get("HARDWAY_CACHE", "~/.cache/hardway")).expanduser()
    roots = sorted(path for path in cache.glob("roots/*") if (path / "usr/bin/systemd-analyze").exists())
    if not roots or os.geteuid() != 0:
        pytest.skip("no Debian 13 here, or not root; `gen lab build` makes the lab's base")
    return roots[-1]


def units(files: Mapping[str, user_data.NodeFile]) -> dict[str, str]:
    return {path: file.content for path, file in files.items() if PurePosixPath(path).parent == UNITS}


def on_node(plan: Plan, node: Node) -> dict[str, bytes]:
    """Give everything that lies on a node once its binaries are there; binaries are empty programs."""
    programs = [target for artifact in plan.artifacts(node) for target in artifact.install.values()]
    return {
        **dict.fromkeys((*programs, *FROM_PACKAGES), PROGRAM),
        **{f"/{path}": content for path, content in agent.files().items()},
        **{str(file.path): file.content.encode() for file in user_data.files(plan, node)},
    }


def verify(base: Path, tree: Mapping[str, bytes], mount: Path) -> subprocess.CompletedProcess[bytes]:
    """Lay files over the base and ask its systemd-analyze, in a mount namespace that ends with it."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for path, content in tree.items():
            member = tarfile.TarInfo(path.lstrip("/"))
            member.size = len(content)
            member.mode = 0o755 if content.startswith(b"#!") else 0o644
            tar.addfile(member, io.BytesIO(content))
    names = " ".join(path for path in tree if PurePosixPath(path).parent == UNITS)
    script = f"""
        mount -t tmpfs tmpfs {mount}
        mkdir {mount}/upper {mount}/work {mount}/root
        mount -t overlay overlay -o lowerdir={base},upperdir={mount}/upper,workdir={mount}/work {mount}/root
        tar -x -C {mount}/root --no-same-owner
        mount -t proc proc {mount}/root/proc
        exec chroot {mount}/root systemd-analyze verify --man=no {names}
    """
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-euc", script]
    return subprocess.run(command, input=archive.getvalue(), capture_output=True, check=False)


def test_systemd_finds_nothing(base: Path, node: Node, tmp_path: Path) -> None:
    verdict = verify(base, on_node(PLAN, node), tmp_path)
    # The exit status alone says nothing of misspelt directives.
    assert verdict.stderr.decode() == ""
    assert verdict.returncode == 0


def test_systemd_would_find_it(base: Path, tmp_path: Path) -> None:
    tree = on_node(PLAN, NODES[0])
    spoilt = {
        **tree,
        f"{UNITS}/spelling.service": b"[Service]\nRestrat=always\nExecStart=/bin/true\n",
        f"{UNITS}/missing.service": b"[Service]\nExecStart=/usr/local/bin/nowhere\n",
        f"{UNITS}/a.service": b"[Unit]\nRequires=b.service\nAfter=b.service\n[Service]\nExecStart=/bin/true\n",
        f"{UNITS}/b.service": b"[Unit]\nRequires=a.service\nAfter=a.service\n[Service]\nExecStart=/bin/true\n",
    }
    found = verify(base, spoilt, tmp_path).stderr.decode()
    assert "Unknown key" in found
    assert "/usr/local/bin/nowhere" in found
    assert "ordering cycle" in found


def test_every_unit_says_what_it_is(files: dict[str, user_data.NodeFile]) -> None:
    for path, text in units(files).items():
        assert re.search(r"^Description=\S", text, re.M), path
        assert "\\\n\\" not in text, path
        if path.endswith(".service") and not path.startswith(f"{UNITS}/hardway"):
            assert re.search(r"^Documentation=https://", text, re.M), path


def test_units_are_for_root_alone(files: dict[str, user_data.NodeFile]) -> None:
    assert {file.mode for path, file in files.items() if path.startswith(str(UNITS))} == {0o600}


def test_nothing_waits_for_the_end_of_cloud_init(files: dict[str, user_data.NodeFile]) -> None:
    for path, file in files.items():
        if path.startswith(str(UNITS)):
            assert not re.search(r"^(After|Requires|Wants)=.*cloud-(final|config|init)", file.content, re.M), path


def test_nothing_sleeps(files: dict[str, user_data.NodeFile]) -> None:
    for path, text in units(files).items():
        assert not re.search(r"^Exec\w+=.*\bsleep\b", text, re.M), path


def test_flags_stand_one_a_line_in_order(files: dict[str, user_data.NodeFile]) -> None:
    for path, text in units(files).items():
        for command in _commands(text):
            flags = [word.partition("=")[0] for word in command if word.startswith("--")]
            assert flags == sorted(flags), path


def test_every_program_of_ours_is_brought(node: Node, files: dict[str, user_data.NodeFile]) -> None:
    brought = set(on_node(PLAN, node))
    for path, text in units(files).items():
        for program, *_ in _commands(text):
            name = program.lstrip("+-:!@|")
            assert name in brought or not name.startswith(("/usr/local/", "/opt/")), f"{path}: {name}"


def _commands(text: str) -> Iterator[list[str]]:
    joined = text.replace("\\\n", " ")
    for found in re.finditer(r"^Exec\w+=(.+)$", joined, re.M):
        yield found[1].split()
