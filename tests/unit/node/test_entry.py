"""The one program in the document: it takes no agent but the pinned one, and tells failures apart."""

from __future__ import annotations

import hashlib
import importlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hardway import installed
from hardway.steps import STEPS

from generator.cluster import node_report
from generator.documents import agent
from generator.files import resource

from .conftest import Answer, Store

FILES = agent.files()
ARCHIVE = agent.archive(FILES)
PIN = agent.digest(FILES)
# What has to work where there is no agent yet.
OWN = {"agent", "failed"}


@pytest.fixture
def entry(root: Path, store: Store, launch: dict[str, Any]) -> ModuleType:
    """The program, with its constants below the node's root."""
    source = resource("userdata") / "node/usr/local/sbin/hardway"
    module = ModuleType("entry")
    exec(compile(source.read_text(), str(source), "exec"), module.__dict__)
    for name in ("PIN", "LAUNCH", "LIBRARY"):
        setattr(module, name, root / str(getattr(module, name)).lstrip("/"))
    module.__dict__["MARKS"] = tuple(root / str(place).lstrip("/") for place in module.__dict__["MARKS"])
    (root / "etc/hardway").mkdir(parents=True)
    module.__dict__["PIN"].write_text(f"{PIN}\n")
    store.answers[f"/public/{PIN}.tar"] = Answer(ARCHIVE)
    return module


def test_brings_the_pinned_agent_once(entry: ModuleType, root: Path, store: Store) -> None:
    entry.bring_agent()
    for path, content in FILES.items():
        assert (root / path).read_bytes() == content
    entry.bring_agent()
    assert len(store.requests) == 1


def test_it_is_brought_again_after_a_power_cut_until_the_disk_has_it(
    entry: ModuleType, monkeypatch: pytest.MonkeyPatch, root: Path, store: Store
) -> None:
    entry.bring_agent()
    lost = root / next(iter(FILES))
    lost.write_bytes(b"")
    shutil.rmtree(root / "run/hardway/installed")
    entry.bring_agent()
    assert lost.read_bytes() == FILES[str(lost.relative_to(root))]
    installed.settle()
    shutil.rmtree(root / "run/hardway/installed")
    entry.bring_agent()
    assert len(store.requests) == 3, "a minute has not passed yet"
    monkeypatch.setattr(installed, "SETTLING_SECONDS", 0)
    installed.settle()
    shutil.rmtree(root / "run/hardway/installed")
    entry.bring_agent()
    assert len(store.requests) == 3


def test_another_pin_brings_another_agent(entry: ModuleType, root: Path, store: Store) -> None:
    entry.bring_agent()
    other = agent.archive({"usr/local/lib/hardway/here.py": b"changed\n"})
    pin = hashlib.sha256(other).hexdigest()
    (root / "etc/hardway/agent.sha256").write_text(pin)
    store.answers[f"/public/{pin}.tar"] = Answer(other)
    entry.bring_agent()
    assert (root / "usr/local/lib/hardway/here.py").read_bytes() == b"changed\n"


@pytest.mark.parametrize("answer", [Answer(ARCHIVE + b"\0"), Answer(b""), Answer(status=404), Answer(ARCHIVE, cut=9)])
def test_nothing_else_is_unpacked(entry: ModuleType, root: Path, store: Store, answer: Answer) -> None:
    store.answers[f"/public/{PIN}.tar"] = answer
    with pytest.raises(SystemExit, match="hardway: "):
        entry.bring_agent()
    assert not (root / "usr").exists()


def test_without_a_launch_part_it_says_so(entry: ModuleType, root: Path) -> None:
    (root / "run/hardway/launch.json").unlink()
    with pytest.raises(SystemExit, match="No such file"):
        entry.bring_agent()


@pytest.mark.parametrize(("raised", "status"), [("Failure", 1), ("Terminal", 78)])
def test_a_failure_is_one_line_and_a_status(
    entry: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    raised: str,
    status: int,
) -> None:
    from hardway import follow, here

    def step() -> None:
        raise getattr(here, raised)("no luck")

    monkeypatch.setattr(follow, "changes", step)
    monkeypatch.setattr(sys, "path", list(sys.path))
    with pytest.raises(SystemExit) as caught:
        entry.run("roster")
    assert caught.value.code == status
    assert capsys.readouterr().err == "hardway roster: no luck\n"


def test_a_failure_before_the_agent_is_reported(
    entry: ModuleType, store: Store, monkeypatch: pytest.MonkeyPatch, launch: dict[str, Any]
) -> None:
    store.answers["/status"] = Answer()
    said = "hardway: the agent can't be fetched: https://h/x?X-Amz-Signature=canary refused\n"
    done = subprocess.CompletedProcess([], 0, stdout=said)
    monkeypatch.setattr(entry.subprocess, "run", lambda *_, **__: done)
    entry.report_failure()
    assert store.requests == [], "nothing has failed"
    monkeypatch.setenv("SERVICE_RESULT", "exit-code")
    entry.report_failure()
    found = node_report.read(store.requests[0][3], launch["node"], "", None)
    assert found
    told = found[0]
    assert told.state("prepare") == "failed"
    assert told.failure == node_report.Failure(
        "hardway-prepare.service", ("hardway: the agent can't be fetched: ... refused",)
    )


@pytest.mark.parametrize(
    ("line", "masked"),
    [
        ("GET https://h/b?X-Amz-Signature=canary&x=1 failed", "GET ... failed"),
        ("<https://h/b?X-Amz-Signature=canary>: refused", "... refused"),
        ("https://h/b%3Fx-amz-signature%3Dcanary", "..."),
        ("query X-Amz-Credential=canary, url=https://h/?token=canary", "query ... ..."),
        ("\tat /b?sig=canary\tand /c", "\tat ...\tand /c"),
        (
            "etcd: context deadline exceeded (https://10.44.0.2:2379)",
            "etcd: context deadline exceeded (https://10.44.0.2:2379)",
        ),
    ],
)
def test_loader_and_agent_mask_alike(entry: ModuleType, line: str, masked: str) -> None:
    from hardway import status

    assert entry.SIGNED.sub("...", line) == masked
    assert status.SIGNED == entry.SIGNED


def test_masking_a_long_word_takes_no_time(entry: ModuleType) -> None:
    word = "x" * 1_000_000
    assert entry.SIGNED.sub("...", word) == word


def test_every_step_exists_and_every_unit_asks_for_one() -> None:
    for target in STEPS.values():
        module, function = target.split(":")
        assert callable(getattr(importlib.import_module(f"hardway.{module}"), function))
    units = [path.read_text() for path in resource("userdata").rglob("*.service*") if path.is_file()]
    asked = {word for text in units for word in re.findall(r"^Exec\w+=[-+]?/usr/local/sbin/hardway (\w+)$", text, re.M)}
    # Beside everything else, what has to be tried again.
    asked |= {word for text in FILES.values() for word in re.findall(r'sbin/hardway", "(\w+)"', text.decode())}
    assert asked == STEPS.keys() | OWN


def test_the_agent_is_the_same_bytes_every_time() -> None:
    assert agent.archive(dict(reversed(FILES.items()))) == ARCHIVE
    assert all(path.startswith("usr/local/lib/hardway/") for path in FILES)
    assert json.dumps(sorted(FILES)) == json.dumps(list(FILES))
