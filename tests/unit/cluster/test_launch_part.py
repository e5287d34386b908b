"""The launch part: the document stays as it is, the facts arrive, and both fit."""

from __future__ import annotations

import json
import stat
import subprocess
from dataclasses import replace
from datetime import timedelta
from email import message_from_string
from pathlib import Path

import pytest

from generator.catalogue import USER_DATA_BYTES
from generator.cluster import launch_part
from generator.cluster.launch_part import LaunchFacts
from generator.errors import Problem
from tests.keyring import NOW

DOCUMENT = "#cloud-config\nwrite_files:\n- path: /a\n  content: |\n    --b\n\n    From me\n    .\n\n\n"
QUERY = "X-Amz-Signature=0123$(reboot)`id`'\"\\\\END_OF_LAUNCH%2F"
FACTS = LaunchFacts(
    node="node01",
    bundle_url=f"https://orderbook-hardway.fra1.digitaloceanspaces.com/orderbook/bundles/node01-00.bundle?{QUERY}",
    bundle_key=bytes(range(32)),
    roster_url="https://orderbook-hardway.fra1.digitaloceanspaces.com/orderbook/id/public/roster.json",
    addons_url="https://orderbook-hardway.fra1.digitaloceanspaces.com/orderbook/id/public/",
    status_url="https://orderbook-hardway.fra1.digitaloceanspaces.com/orderbook/status/node01.json?X-Amz-Signature=99",
    generation=7,
    expires=NOW + timedelta(hours=2),
)
EXPECTED = {
    "version": 1,
    "node": "node01",
    "bundle_url": FACTS.bundle_url,
    "bundle_key": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
    "roster_url": FACTS.roster_url,
    "addons_url": FACTS.addons_url,
    "status_url": FACTS.status_url,
    "generation": 7,
    "expires": "2026-11-22T10:30:00Z",
}


def payloads(text: str) -> list[tuple[str, str]]:
    return [(part.get_content_type(), part.get_payload()) for part in message_from_string(text).get_payload()]


def test_the_document_is_in_it_byte_for_byte() -> None:
    (kind, document), (hook_kind, _) = payloads(launch_part.multipart(DOCUMENT, FACTS))
    assert (kind, hook_kind) == ("text/cloud-config", "text/cloud-boothook")
    assert document == DOCUMENT


@pytest.mark.parametrize("document", ["#cloud-config\n", "#cloud-config\n\n\n", "#cloud-config\n--\n--hardway\n"])
def test_no_document_is_mistaken_for_a_boundary(document: str) -> None:
    assert payloads(launch_part.multipart(document, FACTS))[0][1] == document


def test_a_message_in_a_document_stays_in_it() -> None:
    inner = "#cloud-config\n" + "".join(f"# {line}\n" for line in launch_part.multipart(DOCUMENT, FACTS).splitlines())
    inner += launch_part.multipart(DOCUMENT, FACTS)
    found = payloads(launch_part.multipart(inner, FACTS))
    assert len(found) == 2
    assert found[0][1] == inner


def test_the_boothook_leaves_the_facts_where_only_root_reads_them(tmp_path: Path) -> None:
    script = payloads(launch_part.multipart(DOCUMENT, FACTS))[1][1].replace("/run/hardway", f"{tmp_path}/run")
    for _ in range(2):
        done = subprocess.run(["sh"], input=script, capture_output=True, text=True, check=True)
        assert (done.stdout, done.stderr) == ("", "")
    file = tmp_path / "run" / "launch.json"
    assert json.loads(file.read_text()) == EXPECTED
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert [path.name for path in file.parent.iterdir()] == ["launch.json"]


def test_the_same_launch_gives_the_same_bytes() -> None:
    assert launch_part.multipart(DOCUMENT, FACTS) == launch_part.multipart(DOCUMENT, replace(FACTS))
    assert launch_part.multipart(DOCUMENT, FACTS) != launch_part.multipart(DOCUMENT, replace(FACTS, generation=8))


def test_the_message_is_plain_ascii_in_unix_lines() -> None:
    text = launch_part.multipart(DOCUMENT, FACTS)
    assert text.isascii()
    assert "\r" not in text
    assert "MIME-Version: 1.0\n" in text[:4096]


@pytest.mark.parametrize("document", ["#cloud-config\n# ü\n", "#cloud-config\r\n", "#cloud-config"])
def test_a_document_that_would_not_arrive_as_it_is_is_refused(document: str) -> None:
    with pytest.raises(ValueError, match="plain ASCII"):
        launch_part.multipart(document, FACTS)


def test_what_the_provider_would_refuse_is_refused() -> None:
    overhead = len(launch_part.multipart("#cloud-config\n", FACTS)) - len("#cloud-config\n")
    room = USER_DATA_BYTES - overhead
    fits = "#cloud-config\n".ljust(room - 1, "#") + "\n"
    assert len(launch_part.multipart(fits, FACTS)) == 65_536
    with pytest.raises(Problem, match="user data is 65,537 bytes, the provider accepts 65,536"):
        launch_part.multipart(fits + "\n", FACTS)


def test_the_largest_document_fits_with_its_facts() -> None:
    assert len(launch_part.multipart("#cloud-config\n".ljust(48 * 1024 - 1) + "\n", FACTS)) < 60_000


def test_nothing_secret_is_shown_of_facts() -> None:
    shown = repr(FACTS)
    assert "X-Amz" not in shown
    assert "bundle_key" not in shown
