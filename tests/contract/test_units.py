"""What systemd makes of our units: Debian 13's own verifier reads them where they will lie, and finds nothing."""

from __future__ import annotations

import io
import os
import re
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from generator.documents import agent, user_data
from generator.plan.decide import Plan
from generator.plan.node import Node
from generator.plan.volumes import Volume

from .. import facts
from ..conftest import TESTS

UNITS = PurePosixPath("/etc/systemd/system")
PLAN = facts.load(TESTS / "clusters" / "one-control-plane-two-workers.yaml").plan
VOLUME = Volume("data", 10, "small-data", "", "xfs")
NODES = tuple(replace(node, volumes=(VOLUME,)) for node in (PLAN.control_planes[0], PLAN.workers[0]))
# All that a node may have.
DEBUGGED = facts.debugged(PLAN)
# Links that unpacking a package makes.
PROGRAM = b"#!/bin/true\n"
VERIFY = ("verify", "--man=no")
# What systemd makes of what each service may still do, from 0 to 10; a row may only get smaller. The two that start
# pods need everything.
EXPOSURE = {
    "containerd.service": 9.4,
    "etcd.service": 2.1,
    "hardway-balancer.service": 3.1,
    "hardway-binaries.service": 3.6,
    "hardway-bootstrap.service": 2.9,
    "hardway-channel.service": 3.2,
    "hardway-debug.service": 3.1,
    "hardway-firewall.service": 3.3,
    "hardway-grow.service": 3.5,
    "hardway-mesh.service": 3.3,
    "hardway-node.service": 2.9,
    "hardway-prepare.service": 6.1,
    "hardway-roster.service": 3.4,
    "hardway-secrets.service": 3.3,
    "hardway-status.service": 2.9,
    "hardway-upkeep.service": 2.9,
    "hardway-volumes.service": 4.8,
    "kube-apiserver.service": 2.5,
    "kube-controller-manager.service": 2.5,
    "kube-proxy.service": 2.9,
    "kube-scheduler.service": 2.5,
    "kubelet.service": 9.4,
}
# In the order in which the kernel may take them when memory ends: pods and steps go before, etcd and the API last.
OOM_SCORES = {
    "hardway-balancer.service": -900,
    "hardway-mesh.service": -900,
    "kube-controller-manager.service": -900,
    "kube-scheduler.service": -900,
    "containerd.service": -950,
    "kube-proxy.service": -950,
    "kubelet.service": -950,
    "etcd.service": -999,
    "kube-apiserver.service": -999,
}
# Programs that write their own score over the unit's, and where they are told which.
OWN_SCORE = {
    "kubelet.service": "/var/lib/kubelet/config.yaml",
    "kube-proxy.service": "/var/lib/kube-proxy/config.yaml",
}
# Resident MiB of a small cluster's node, measured.
MEASURED_MIB = {
    "containerd.service": 59,
    "etcd.service": 60,
    "hardway-balancer.service": 32,
    "hardway-mesh.service": 14,
    "hardway-status.service": 27,
    "kube-apiserver.service": 286,
    "kube-controller-manager.service": 96,
    "kube-proxy.service": 77,
    "kube-scheduler.service": 82,
    "kubelet.service": 99,
}
# Whoever waits for other nodes has longer than they are waited for: hours in which droplets may come.
WAITS_SECONDS = {
    "etcd.service": 2 * 3600,
    "kubelet.service": 2 * 3600,
    "hardway-binaries.service": 3600,
    "hardway-bootstrap.service": 3600,
    "hardway-mesh.service": 240,
    "hardway-node.service": 600,
    "hardway-volumes.service": 3600,
}
# Each of its lines adds to those before.
ADDS = "SystemCallFilter"
FROM_PACKAGES = ("/usr/local/sbin/haproxy", "/usr/local/sbin/nft", "/usr/local/sbin/wg")


@pytest.fixture(params=NODES, ids=lambda node: node.role)
def node(request: pytest.FixtureRequest) -> Node:
    one: Node = request.param
    return one


@pytest.fixture
def files(node: Node) -> dict[str, user_data.NodeFile]:
    return _files(node)


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


def analyze(base: Path, tree: Mapping[str, bytes], mount: Path, *words: str) -> subprocess.CompletedProcess[bytes]:
    """Lay files over the base and ask its systemd-analyze of our units, in a mount namespace that ends with it."""
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
        exec chroot {mount}/root systemd-analyze {" ".join(words)} {names}
    """
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-euc", script]
    return subprocess.run(command, input=archive.getvalue(), capture_output=True, check=False)


def test_systemd_finds_nothing(base: Path, node: Node, tmp_path: Path) -> None:
    verdict = analyze(base, on_node(DEBUGGED, node), tmp_path, *VERIFY)
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
    found = analyze(base, spoilt, tmp_path, *VERIFY).stderr.decode()
    assert "Unknown key" in found
    assert "/usr/local/bin/nowhere" in found
    assert "ordering cycle" in found


def services(files: Mapping[str, user_data.NodeFile]) -> dict[str, dict[str, str]]:
    """Give what holds for each service: its own lines, then those of the drop-in for all of its prefix."""
    found = {}
    for path, text in units(files).items():
        name = PurePosixPath(path).name
        if name.endswith(".service"):
            dropped = files.get(f"{UNITS}/{name.partition('-')[0]}-.service.d/{DROP_INS.get(name.partition('-')[0])}")
            found[name] = _directives(text) | (_directives(dropped.content) if dropped else {})
    return found


DROP_INS = {"hardway": "step.conf", "kube": "harden.conf"}
SECONDS = {"s": 1, "min": 60, "h": 3600, "": 1}
MIB = {"M": 1, "G": 1024}


def _directives(text: str) -> dict[str, str]:
    joined = text.replace("\\\n", " ")
    return dict(re.findall(r"^(\w+)=(.*)$", joined, re.M))


def _number(text: str, scale: Mapping[str, int]) -> int:
    found = re.fullmatch(r"(\d+)([a-zA-Z]*)", text)
    assert found is not None, f"{text} has no end"
    return int(found[1]) * scale[found[2]]


def test_no_service_is_more_exposed_than_its_row(base: Path, node: Node, tmp_path: Path) -> None:
    words = ("security", "--offline=true", "--no-pager", "--threshold=100")
    verdict = analyze(base, on_node(DEBUGGED, node), tmp_path, *words)
    assert verdict.returncode == 0, verdict.stderr.decode()
    lines = re.findall(r"Overall exposure level for (\S+\.service): ([\d.]+)", verdict.stdout.decode())
    found = {name: float(level) for name, level in lines}
    assert found.keys() == {PurePosixPath(path).name for path in units(_files(node)) if path.endswith(".service")}
    assert {name: level for name, level in found.items() if level > EXPOSURE.get(name, 0)} == {}


def test_each_row_is_a_service() -> None:
    every = {name for one in NODES for name in services(_files(one))}
    assert every == EXPOSURE.keys()
    for table in (OOM_SCORES, OWN_SCORE, MEASURED_MIB, WAITS_SECONDS):
        assert table.keys() <= every


def test_no_service_takes_all_memory(files: dict[str, user_data.NodeFile]) -> None:
    for name, said in services(files).items():
        limit = _number(said["MemoryMax"], MIB)
        assert limit <= 2048, name
        assert limit >= 4 * MEASURED_MIB.get(name, 60), name


def test_the_database_and_the_api_die_last(files: dict[str, user_data.NodeFile]) -> None:
    scores = {name: int(said["OOMScoreAdjust"]) for name, said in services(files).items() if "OOMScoreAdjust" in said}
    assert scores == {name: score for name, score in OOM_SCORES.items() if name in services(files)}
    for name, path in OWN_SCORE.items():
        (own,) = re.findall(r"^oomScoreAdj: (-\d+)$", files[path].content, re.M)
        assert int(own) == OOM_SCORES[name]


def test_each_start_has_an_end_and_is_tried_again(files: dict[str, user_data.NodeFile]) -> None:
    for name, said in services(files).items():
        assert _number(said["TimeoutStartSec"], SECONDS) >= max(60, WAITS_SECONDS.get(name, 0)), name
        assert said["Restart"] in ("always", "on-failure"), name
        assert said["StartLimitIntervalSec"] == "0", name
        # Nobody who requires it hears of the failure in between.
        assert said["RestartMode"] == "direct", name


def test_no_service_says_what_its_drop_in_says_over_it(files: dict[str, user_data.NodeFile]) -> None:
    for path, text in units(files).items():
        prefix = PurePosixPath(path).name.partition("-")[0]
        if path.endswith(".service") and prefix in DROP_INS and "-" in PurePosixPath(path).name:
            dropped = _directives(files[f"{UNITS}/{prefix}-.service.d/{DROP_INS[prefix]}"].content)
            assert not (_directives(text).keys() & dropped.keys()) - {ADDS}, path


def _files(node: Node) -> dict[str, user_data.NodeFile]:
    """Give all that a node may have: with what is there while somebody debugs."""
    return {str(file.path): file for file in user_data.files(DEBUGGED, node)}


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
    brought = set(on_node(DEBUGGED, node))
    for path, text in units(files).items():
        for program, *_ in _commands(text):
            name = program.lstrip("+-:!@|")
            assert name in brought or not name.startswith(("/usr/local/", "/opt/")), f"{path}: {name}"


def _commands(text: str) -> Iterator[list[str]]:
    joined = text.replace("\\\n", " ")
    for found in re.finditer(r"^Exec\w+=(.+)$", joined, re.M):
        yield found[1].split()
