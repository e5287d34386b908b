"""What a phase does is on every screen that the provider may show, and in a container on the console alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from hardway import here


@pytest.fixture
def screens(root: Path) -> Path:
    (root / "dev").mkdir()
    for name in ("console", "tty1", "kmsg"):
        (root / "dev" / name).touch()
    return root / "dev"


def shown(screens: Path) -> list[str]:
    return sorted(path.name for path in screens.iterdir() if "etcd running" in path.read_text())


def test_a_machine_shows_it_everywhere(screens: Path, capsys: pytest.CaptureFixture[str]) -> None:
    here.console("hardway node01: etcd running")
    assert shown(screens) == ["console", "kmsg", "tty1"]
    # the kernel takes a level before the text
    assert (screens / "kmsg").read_text() == "<3>hardway node01: etcd running\n"
    assert capsys.readouterr().out == ""


def test_a_containers_kernel_and_terminals_are_its_hosts(root: Path, screens: Path) -> None:
    (root / "run/systemd").mkdir(parents=True)
    (root / "run/systemd/container").write_text("systemd-nspawn")
    here.console("hardway node01: etcd running")
    assert shown(screens) == ["console"]


def test_where_there_is_no_screen_the_journal_has_it(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert not (root / "dev").exists()
    here.console("hardway node01: etcd running")
    assert capsys.readouterr().out == "hardway node01: etcd running\n"


def test_the_kernels_log_takes_no_long_line(screens: Path) -> None:
    here.console("x" * 5000)
    assert len((screens / "kmsg").read_bytes()) < 976


@pytest.mark.parametrize("name", ["tty1", "kmsg", "console"])
def test_one_that_takes_nothing_keeps_the_others_from_nothing(name: str, screens: Path) -> None:
    (screens / name).unlink()
    (screens / name).mkdir()
    here.console("hardway node01: etcd running")
    assert len([path for path in screens.iterdir() if path.is_file() and path.read_text()]) == 2
