"""What is known on a droplet that reports nothing goes to every screen, a short line a write."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from generator.documents.user_data import overdue

LONG = "x" * 3000


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """Commands that say much, in the place of a droplet's."""
    directory = tmp_path / "bin"
    directory.mkdir()
    said = {
        "systemctl": '[ "$2" = is-active ] && exit 1; echo failed.service',
        "cloud-init": f"echo 'status: error'; echo {LONG}",
        "ip": "for n in 1 2 3 4 5 6 7 8 9; do echo eth$n UP; done",
        "journalctl": "echo the agent can not be fetched",
    }
    for name, script in said.items():
        (directory / name).write_text(f"#!/bin/sh\n{script}\n")
        (directory / name).chmod(0o755)
    return directory


@pytest.mark.parametrize("is_container", [False, True])
def test_each_line_is_one_write_to_each_screen(tools: Path, tmp_path: Path, is_container: bool) -> None:
    script = overdue(0).replace("/dev/", f"{tmp_path}/").replace("/run/systemd/container", f"{tmp_path}/container")
    if is_container:
        (tmp_path / "container").touch()
    for name in ("console", "tty1", "kmsg"):
        os.mkfifo(tmp_path / name)
    readers = {name: os.open(tmp_path / name, os.O_RDWR | os.O_NONBLOCK) for name in ("console", "tty1", "kmsg")}
    environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"}
    subprocess.run(["sh", "-c", script], env=environment, check=True, timeout=20)
    said = {name: os.read(descriptor, 1 << 16) if name == "console" or not is_container else b""
            for name, descriptor in readers.items()}  # fmt: skip
    for descriptor in readers.values():
        os.close(descriptor)
    lines = said["console"].decode().splitlines()
    assert lines[0] == "hardway: nothing reports after 0 seconds"
    assert {"hardway: failed.service", "hardway: status: error", "hardway: eth9 UP"} <= set(lines)
    assert lines[-1] == "hardway: the agent can not be fetched"
    assert max(map(len, lines)) < 976
    if not is_container:
        assert said["tty1"] == said["kmsg"] == said["console"]


def test_where_something_reports_nothing_is_said(tools: Path, tmp_path: Path) -> None:
    (tools / "systemctl").write_text("#!/bin/sh\nexit 0\n")
    script = overdue(0).replace("/dev/", f"{tmp_path}/")
    environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"}
    subprocess.run(["sh", "-c", script], env=environment, check=True, timeout=20)
    assert not (tmp_path / "console").exists()
