"""The user data as it is taken apart: by Python's email parser, and by cloud-init where it is installed."""

from __future__ import annotations

import json
import os
import subprocess
from email import message_from_string
from email.message import Message
from pathlib import Path

import pytest

from generator.cluster import launch_part
from tests.unit.cluster.test_launch_part import DOCUMENT, FACTS

# What cloud-init does with user data before any handler sees it, and what its handlers are then given.
# Source: https://github.com/canonical/cloud-init, cloudinit/user_data.py and cloudinit/handlers/__init__.py
PROGRAM = """
import json, sys
from cloudinit import handlers, helpers, user_data
message = user_data.UserDataProcessor(helpers.Paths({"cloud_dir": sys.argv[1], "run_dir": sys.argv[1]})).process(
    sys.stdin.buffer.read())
seen = []
handlers.walk(message, lambda data, name, payload, headers: seen.append(
    [headers["Content-Type"], name, payload if isinstance(payload, str) else payload.decode()]), data=None)
json.dump(seen, sys.stdout)
"""


def parts(text: str) -> list[Message]:
    message = message_from_string(text)
    assert message.get_content_type() == "multipart/mixed"
    assert message.defects == []
    return [part for part in message.walk() if not part.is_multipart()]


def test_the_first_part_is_the_reviewed_document_byte_for_byte() -> None:
    first, second = parts(launch_part.multipart(DOCUMENT, FACTS))
    assert first.get_content_type() == "text/cloud-config"
    assert second.get_content_type() == "text/cloud-boothook"
    for decode in (False, True):
        payload = first.get_payload(decode=decode)
        assert payload == (DOCUMENT.encode() if decode else DOCUMENT)
    assert [part["Content-Transfer-Encoding"] for part in (first, second)] == ["7bit", "7bit"]
    assert first.defects == second.defects == []


def test_cloud_init_takes_it_for_mime_and_nothing_else() -> None:
    text = launch_part.multipart(DOCUMENT, FACTS)
    # cloud-init looks for this word in the first 4096 characters, in lower case.
    assert "mime-version:" in text[:4096].lower()
    assert text.startswith("Content-Type: multipart/mixed")


def test_cloud_init_hands_its_handlers_what_was_put_in(tmp_path: Path) -> None:
    cache = Path(os.environ.get("HARDWAY_CACHE", "~/.cache/hardway")).expanduser()
    roots = sorted(path for path in cache.glob("roots/*") if (path / "usr/bin/cloud-init").exists())
    if not roots or os.geteuid() != 0:
        pytest.skip("no cloud-init here, or not root; `gen lab build` makes a base that has it")
    (tmp_path / "program").write_text(PROGRAM)
    text = launch_part.multipart(DOCUMENT, FACTS)
    # In a mount namespace of its own, so that nothing of what is mounted or written stays.
    script = f"""
        mount -t tmpfs tmpfs "{roots[-1]}/tmp"
        cp "{tmp_path}/program" "{roots[-1]}/tmp/program"
        exec chroot "{roots[-1]}" python3 -B /tmp/program /tmp
    """
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-euc", script]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
    seen = json.loads(done.stdout)
    assert [(kind, name) for kind, name, _ in seen] == [
        ("text/cloud-config", "document.yaml"),
        ("text/cloud-boothook", "launch"),
    ]
    assert seen[0][2] == DOCUMENT
    assert seen[1][2].startswith("#!/bin/sh\n")
    assert seen[1][2].endswith("\n")
