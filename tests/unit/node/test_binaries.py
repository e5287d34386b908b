"""What the document pins is fetched side by side, checked, installed, and never fetched again."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import subprocess
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest
from hardway import binaries, here, installed
from hardway.here import Failure, Terminal

from .conftest import Answer, Store


def item(store: Store, name: str, body: bytes, install: dict[str, str] | None = None) -> dict[str, Any]:
    store.answers[f"/{name}"] = Answer(body)
    row = {"name": name, "sha256": hashlib.sha256(body).hexdigest(), "urls": [f"{store.url}/{name}"]}
    return row if install is None else row | {"install": install}


def pinned(artifacts: list[dict[str, Any]], packages: list[dict[str, Any]] | None = None) -> None:
    lists = {"version": 1, "artifacts": artifacts, "packages": packages or []}
    here.write("/etc/hardway/artifacts.json", json.dumps(lists))


def archive(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(f"./{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def test_installs_files_and_members(root: Path, store: Store, commands: list[tuple[str, ...]]) -> None:
    plain = item(store, "kubelet", b"kubelet", {"": "/usr/local/bin/kubelet"})
    packed = item(store, "cni", archive(bridge=b"b", portmap=b"p", other=b"o"), {"./bridge": "/opt/cni/bin/bridge"})
    pinned([plain, packed])
    binaries.step()
    for path, content in (("usr/local/bin/kubelet", b"kubelet"), ("opt/cni/bin/bridge", b"b")):
        assert (root / path).read_bytes() == content
        assert (root / path).stat().st_mode & 0o777 == 0o755
    assert [path.name for path in (root / "opt/cni/bin").iterdir()] == ["bridge"]


def test_needs_no_network_the_second_time(
    store: Store, commands: list[tuple[str, ...]], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pinned([item(store, "kubelet", b"kubelet", {"": "/usr/local/bin/kubelet"})])
    binaries.step()
    store.requests.clear()
    commands.clear()
    binaries.step()
    assert (store.requests, commands) == ([], [])
    settled(monkeypatch)
    (root / "usr/local/bin/kubelet").unlink()
    binaries.step()
    assert len(store.requests) == 1


def settled(monkeypatch: pytest.MonkeyPatch, seconds: float = installed.SETTLING_SECONDS) -> None:
    """Let time pass since the installation, and look after it."""
    now = time.time()
    monkeypatch.setattr(installed.time, "time", lambda: now + seconds)
    here.write(installed.AGENT, "digest\n")
    installed.settle()


def test_what_is_on_the_disk_for_sure_needs_nothing_else(
    store: Store, commands: list[tuple[str, ...]], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pinned([item(store, "kubelet", b"kubelet", {"": "/usr/local/bin/kubelet"})])
    binaries.step()
    settled(monkeypatch, installed.SETTLING_SECONDS / 2)
    assert len(list((root / "opt/hardway/installed").glob("*.part"))) == 1, "it may not be on the disk yet"
    settled(monkeypatch)
    assert not list((root / "opt/hardway/installed").glob("*.part"))
    shutil.rmtree(root / "run")
    store.requests.clear()
    binaries.step()
    assert store.requests == []


@pytest.mark.parametrize("damage", ["none", "the part", "the binary", "both"])
def test_after_a_power_cut_what_is_right_is_installed_again(
    store: Store, commands: list[tuple[str, ...]], root: Path, damage: str
) -> None:
    pinned([item(store, "kubelet", b"kubelet", {"": "/usr/local/bin/kubelet"})])
    binaries.step()
    shutil.rmtree(root / "run/hardway/installed")
    binary = root / "usr/local/bin/kubelet"
    part = next((root / "opt/hardway/installed").glob("*.part"))
    for name, path in (("the binary", binary), ("the part", part)):
        if damage in (name, "both"):
            path.unlink()
            path.write_bytes(b"\0" * 7)
    store.requests.clear()
    binaries.step()
    assert binary.read_bytes() == b"kubelet"
    assert len(store.requests) == (damage in ("the part", "both"))


def test_another_digest_is_another_file(store: Store, commands: list[tuple[str, ...]], root: Path) -> None:
    for body in (b"old", b"new"):
        pinned([item(store, "kubelet", body, {"": "/usr/local/bin/kubelet"})])
        binaries.step()
    assert (root / "usr/local/bin/kubelet").read_bytes() == b"new"


def test_tries_each_address(store: Store, commands: list[tuple[str, ...]], root: Path) -> None:
    row = item(store, "runc", b"runc", {"": "/usr/local/bin/runc"})
    store.answers["/wrong"] = Answer(b"wrong")
    row["urls"] = [f"{store.url}/missing", f"{store.url}/wrong", *row["urls"]]
    pinned([row])
    binaries.step()
    assert (root / "usr/local/bin/runc").read_bytes() == b"runc"


def test_one_that_fails_does_not_hold_up_the_others(store: Store, commands: list[tuple[str, ...]], root: Path) -> None:
    bad = item(store, "bad", b"bad", {"": "/usr/local/bin/bad"}) | {"urls": [f"{store.url}/missing"]}
    pinned([bad, item(store, "good", b"good", {"": "/usr/local/bin/good"})])
    with pytest.raises(Failure, match=r"bad: 127\.0\.0\.1:\d+ answered 404") as caught:
        binaries.step()
    assert not isinstance(caught.value, Terminal)
    assert (root / "usr/local/bin/good").exists()
    store.requests.clear()
    with pytest.raises(Failure):
        binaries.step()
    assert [path for _, path, _, _ in store.requests] == ["/missing"]


def test_a_wrong_digest_is_tried_again_and_never_runs(
    store: Store, commands: list[tuple[str, ...]], root: Path
) -> None:
    pinned([item(store, "kubelet", b"kubelet", {"": "/usr/local/bin/kubelet"}) | {"sha256": "0" * 64}])
    with pytest.raises(Failure, match="pinned digest") as caught:
        binaries.step()
    assert not isinstance(caught.value, Terminal), "a damaged download is mended by another one"
    assert not (root / "usr").exists()
    assert not list((root / "opt/hardway/installed").iterdir())


def test_a_missing_member_is_said(store: Store, commands: list[tuple[str, ...]]) -> None:
    pinned([item(store, "cni", archive(bridge=b"b"), {"./portmap": "/opt/cni/bin/portmap"})])
    with pytest.raises(Terminal, match=r"cni: its archive holds no file `\./portmap`"):
        binaries.step()


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="no dpkg-deb here")
def test_unpacks_packages_below_our_prefix(
    store: Store, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = tmp_path / "package"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN").chmod(0o755)
    (tree / "DEBIAN/control").write_text("Package: nft\nVersion: 1\nArchitecture: all\nMaintainer: x\nDescription: x\n")
    (tree / "usr/sbin").mkdir(parents=True)
    (tree / "usr/sbin/nft").write_text("#!/bin/true\n")
    subprocess.run(["dpkg-deb", "-b", str(tree), str(tmp_path / "nft.deb")], check=True, capture_output=True)
    real = here.run
    monkeypatch.setattr(here, "run", lambda *argv: real(*argv) if argv[0] == "dpkg-deb" else "")
    (root / "usr/local/sbin").mkdir(parents=True)
    package = (tmp_path / "nft.deb").read_bytes()
    row = item(store, "nft", package)
    # Debian has another one by now, and launch has kept this
    store.answers["/nft"] = Answer(b"gone", 404)
    store.answers[f"/public/packages/{row['sha256']}.deb"] = Answer(package)
    here.write(here.LAUNCH, json.dumps({"addons_url": f"{store.url}/public/"}))
    pinned([], [row])
    binaries.step()
    assert (root / "usr/local/sbin/nft").resolve() == (root / "opt/hardway/usr/sbin/nft").resolve()
    store.requests.clear()
    binaries.step()
    assert store.requests == []
