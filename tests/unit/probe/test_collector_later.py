"""What a droplet says of its volume and of its reserved address: files are disks, and loopback is the way there."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from generator.files import resource
from generator.plan.names import volume_device
from generator.probe import document, report
from generator.probe.document import Told

sys.path.insert(0, str(resource("userdata") / "probe/usr/local/lib"))

import hardway_probe
from hardway_probe import Droplet

DEVICE = volume_device("hardway-probe-0a-0")
GIB = 1 << 30


def a_droplet(root: Path, seconds: float = 0.3, **told: Any) -> Droplet:
    return Droplet(root, {"name": "n", "volume": {"device": DEVICE, "gib": 2, "seconds": seconds}, **told})


def disk(root: Path, size: int, content: bytes = b"") -> Path:
    """Have a disk of that size, with something at its end."""
    path = root / DEVICE.lstrip("/")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.truncate(size)
        file.seek(size - len(content))
        file.write(content)
    return path


def meanwhile(*acts: Callable[[], object]) -> threading.Thread:
    """Do things one after the other while somebody looks."""

    def run() -> None:
        for act in acts:
            time.sleep(1.2)
            act()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def test_a_blank_volume_that_grows_says_so(tmp_path: Path) -> None:
    thread = meanwhile(lambda: disk(tmp_path, GIB), lambda: disk(tmp_path, 2 * GIB))
    said = hardway_probe.volume(a_droplet(tmp_path, 8))
    thread.join()
    assert (said["comes"], said["is_blank"], said["gib"]) == (True, True, 2)


@pytest.mark.parametrize(
    ("size", "content", "said"),
    [
        (GIB, b"", {"comes": True, "is_blank": True, "gib": 1}),
        (2 * GIB, b"x", {"comes": True, "is_blank": False, "gib": 2}),
        (GIB + GIB // 2, b"", {"comes": True, "is_blank": True, "gib": 1.5}),
    ],
)
def test_a_volume_is_told_as_it_is(tmp_path: Path, size: int, content: bytes, said: dict[str, Any]) -> None:
    disk(tmp_path, size, content)
    assert hardway_probe.volume(a_droplet(tmp_path)) == {**said, "seconds": 0}


def test_one_that_does_not_come_is_told(tmp_path: Path) -> None:
    assert hardway_probe.volume(a_droplet(tmp_path)) == {"comes": False}


def test_one_that_leaves_and_comes_back_is_told(tmp_path: Path) -> None:
    path = disk(tmp_path, 2 * GIB)
    thread = meanwhile(path.unlink, lambda: disk(tmp_path, 2 * GIB))
    assert hardway_probe.replug(a_droplet(tmp_path, 8)) == {"leaves": True, "comes_back": True}
    thread.join()


def test_one_that_never_leaves_does_not_come_back(tmp_path: Path) -> None:
    disk(tmp_path, 2 * GIB)
    assert hardway_probe.replug(a_droplet(tmp_path)) == {"leaves": False, "comes_back": False}


def a_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.mark.parametrize(("anchor", "arrives"), [("127.0.0.1", "anchor"), ("10.19.0.5", "another")])
def test_it_says_where_packets_arrive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, anchor: str, arrives: str
) -> None:
    public = {"ipv4": {"ip_address": "203.0.113.9"}, "anchor_ipv4": {"ip_address": anchor}}
    known = {"interfaces": {"public": [public]}, "reserved_ip": {"ipv4": {"active": True, "ip_address": "192.0.2.7"}}}
    monkeypatch.setattr(hardway_probe, "_document", lambda: known)
    port, reached = a_port(), threading.Event()

    def knock() -> None:
        while not reached.wait(0.1):
            with socket.socket() as caller:
                if caller.connect_ex(("127.0.0.1", port)) == 0:
                    return

    thread = threading.Thread(target=knock, daemon=True)
    thread.start()
    said = hardway_probe.reserved(a_droplet(tmp_path, reserved={"port": port, "seconds": 8}))
    reached.set()
    thread.join()
    assert said == {"is_told": True, "arrives_at": arrives}


def test_nobody_told_and_nobody_came(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"interfaces": {"public": [{}]}, "reserved_ip": {"ipv4": {"active": False}}}
    monkeypatch.setattr(hardway_probe, "_document", lambda: known)
    said = hardway_probe.reserved(a_droplet(tmp_path, reserved={"port": a_port(), "seconds": 0.1}))
    assert said == {"is_told": False, "arrives_at": "none"}


def test_it_says_of_these_what_it_was_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardway_probe, "GROUPS", {})
    told = document._values(Told("n", "u", "k", volume=(DEVICE, 2), is_reserved=True))
    for values, groups in (({"name": "n"}, set()), (told, {"volume", "replug", "reserved"})):
        monkeypatch.setattr(
            hardway_probe, "LATER", {name: (needed, lambda _: {}) for name, (needed, _) in _LATER.items()}
        )
        *_, last = hardway_probe.collect(Droplet(tmp_path, values))
        assert set(last) & report.GROUPS == groups
    assert set(_LATER) <= report.GROUPS


_LATER = dict(hardway_probe.LATER)
