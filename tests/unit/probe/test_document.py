"""A probe's user-data: a node's envelope, exactly as long as asked for, and all that the droplet is told."""

from __future__ import annotations

import json
import stat
import subprocess
from email import message_from_string
from pathlib import Path

import pytest
import yaml

from generator.catalogue import USER_DATA_BYTES
from generator.files import resource
from generator.probe import document
from generator.probe.document import FOREIGN, Told

URL = "https://fra1.digitaloceanspaces.com/b/k?X-Amz-Signature=0$(reboot)`id`'\""
TOLD = Told("hardway-probe-0a-1", URL, "ssh-ed25519 AAAA hardway", ("https://dl.k8s.io/x",), f"{URL}2")


def parts(text: str) -> list[tuple[str, str]]:
    return [(part.get_content_type(), part.get_payload()) for part in message_from_string(text).get_payload()]


@pytest.mark.parametrize("length", [USER_DATA_BYTES, USER_DATA_BYTES + 1])
def test_it_is_as_long_as_is_asked(length: int) -> None:
    text = document.user_data(TOLD, length=length)
    assert len(text.encode()) == len(text) == length
    (kind, config), (hook_kind, _) = parts(text)
    assert (kind, hook_kind) == ("text/cloud-config", "text/cloud-boothook")
    assert yaml.safe_load(config) == yaml.safe_load(document.document())


@pytest.mark.parametrize("more", range(5))
def test_it_can_be_filled_by_little(more: int) -> None:
    length = _shortest() + more
    assert len(document.user_data(TOLD, length=length)) == length


def _shortest() -> int:
    low, high = 1, USER_DATA_BYTES
    while low < high:
        middle = (low + high) // 2
        try:
            document.user_data(TOLD, length=middle)
            high = middle
        except ValueError:
            low = middle + 1
    return low


def test_it_never_becomes_longer_than_asked() -> None:
    with pytest.raises(ValueError, match="of 1,000"):
        document.user_data(TOLD, length=1000)


def test_it_brings_the_collector_and_no_vendor_data() -> None:
    config = yaml.safe_load(document.document())
    (file,) = config["write_files"]
    assert file["content"] == (resource("userdata") / "probe" / file["path"].lstrip("/")).read_text()
    assert config["vendor_data"] == {"enabled": False}
    assert not config["ssh_pwauth"]
    assert "permissions" not in file


def test_the_boothook_tells_root_alone(tmp_path: Path) -> None:
    script = parts(document.user_data(TOLD, length=USER_DATA_BYTES))[1][1]
    (tmp_path / "systemd-run").write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/started\n')
    (tmp_path / "systemd-run").chmod(0o755)
    for _ in range(2):
        done = subprocess.run(
            ["sh"],
            input=script.replace("/run/hardway-probe", f"{tmp_path}/run"),
            capture_output=True,
            text=True,
            check=True,
            env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        )
        assert (done.stdout, done.stderr) == ("", "")
    file = tmp_path / "run" / "probe.json"
    told = json.loads(file.read_text())
    assert (told["name"], told["url"], told["ssh_key"]) == (TOLD.name, TOLD.url, TOLD.ssh_key)
    assert (told["peer"]["url"], told["peer"]["foreign"]) == (TOLD.peer_url, list(FOREIGN))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert (tmp_path / "started").read_text().endswith(f"/usr/bin/python3 {tmp_path}/run/ear.py\n")
    compile((tmp_path / "run" / "ear.py").read_text(), "ear.py", "exec")


def test_nothing_that_is_signed_is_shown() -> None:
    assert "Signature" not in repr(TOLD)
