"""`gen release list` and `show` say of every lock what it consists of; `pin` has tests of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from generator.cli.main import run
from generator.release import lock_file


def test_every_release_is_listed_with_what_it_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    own = tmp_path / "releases" / "mine.yaml"
    own.parent.mkdir()
    text = (lock_file.BUILT_IN / "k8s-1.36.yaml").read_text()
    own.write_text(text.replace("name: k8s-1.36\n", "name: mine\n").replace("unpinned", f"sha256:{'a' * 64}"))
    assert run(["release", "list"]) == 0
    head, first, second = capsys.readouterr().out.splitlines()
    assert head.split() == ["RELEASE", "KUBERNETES", "BINARIES", "PACKAGES", "IMAGES", "PINNED", "FILE"]
    assert (first.split()[0], "all but" in first) == ("k8s-1.36", True)
    assert (second.split()[0], second.split()[-2:]) == ("mine", ["all", "releases/mine.yaml"])
    assert run(["release", "list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [(one["name"], bool(one["unpinned_images"])) for one in listed] == [("k8s-1.36", True), ("mine", False)]


def test_a_release_is_shown_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["init", "--api", "28.51.100.7"]) == 0
    capsys.readouterr()
    assert run(["release", "show"]) == 0
    shown = capsys.readouterr().out
    lock = lock_file.load("k8s-1.36", tmp_path)
    digests = {*(one.sha256 for one in lock.artifacts), *(one.sha256 for one in lock.packages)}
    assert digests | {image.reference for image in lock.images} <= set(shown.split())
    assert run(["release", "show", "k8s-1.36", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["kubernetes"] == lock.kubernetes
    assert run(["release", "show", "k8s-0.1"]) == 1
    assert "known releases: k8s-1.36" in capsys.readouterr().err
