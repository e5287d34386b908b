"""The document of a node that is debugged: sshd for the named keys until the named day, and nothing else is other."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from generator.documents import user_data
from generator.plan.debugging import Debugging
from generator.plan.decide import Plan
from tests.described import OPERATOR, TUTORIAL

from ... import facts

UNITS = "/etc/systemd/system"
SSHD = "/etc/ssh/sshd_config.d/00-hardway.conf"
RULES = "/etc/hardway/nftables.conf"


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    file = tmp_path / "cluster.yaml"
    file.write_text(TUTORIAL)
    return facts.load(file).plan


@pytest.fixture
def debugged(plan: Plan) -> dict[str, Any]:
    return read(facts.debugged(plan))


def read(plan: Plan) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load(user_data.document(plan, plan.nodes[0]))
    return config | {"write_files": {file["path"]: file["content"] for file in config["write_files"]}}


def test_it_differs_in_what_lets_in_and_in_nothing_else(plan: Plan, debugged: dict[str, Any]) -> None:
    without = read(plan)
    files, known = debugged.pop("write_files"), without.pop("write_files")
    assert {path for path in files if files[path] != known.get(path)} == {
        RULES,
        SSHD,
        f"{UNITS}/hardway-debug.service",
        f"{UNITS}/hardway-debug.timer",
        f"{UNITS}/hardway.target.d/debug.conf",
    }
    assert files.keys() >= known.keys()
    added = set(files[RULES].splitlines()) - set(known[RULES].splitlines())
    assert added == {f"    ip saddr {{ {OPERATOR}/32 }} tcp dport {{ 22 }} accept"}
    other = {key for key in debugged if debugged[key] != without[key]}
    assert other == {"disable_root", "allow_public_ssh_keys", "bootcmd"}


def test_root_gets_in_by_the_accounts_keys_and_nobody_by_a_password(debugged: dict[str, Any]) -> None:
    assert (debugged["disable_root"], debugged["allow_public_ssh_keys"], debugged["ssh_pwauth"]) == (False, True, False)
    assert debugged["users"] == []
    masked, overdue = debugged["bootcmd"]
    assert masked[:4] == ["systemctl", "--no-block", "mask", "--now"]
    assert masked[4:] == ["apt-daily.timer", "apt-daily-upgrade.timer", "unattended-upgrades.service"]
    assert overdue == ["systemd-run", "--no-block", "--quiet", "sh", "-c", user_data.overdue()]
    lines = debugged["write_files"][SSHD].splitlines()
    assert "Until 2026-12-24" in lines[0]
    assert "`anna`, `ben's laptop`" in lines[0]
    assert lines[1:] == [
        "AllowUsers root",
        "AuthenticationMethods publickey",
        "KbdInteractiveAuthentication no",
        "PasswordAuthentication no",
        "PermitRootLogin prohibit-password",
    ]


@pytest.mark.parametrize(
    "change",
    [{"ssh_keys": ("anna",)}, {"ssh_keys": ("ben's laptop", "anna")}, {"until": date(2026, 12, 25)}],
    ids=str,
)
def test_any_change_of_it_is_another_document(plan: Plan, change: dict[str, Any]) -> None:
    one = facts.debugged(plan)
    assert one.debug is not None
    other = replace(one, debug=replace(one.debug, **change))
    for node in plan.nodes:
        assert user_data.document(one, node) != user_data.document(other, node)


def test_the_end_is_the_end_of_the_last_day(plan: Plan) -> None:
    files = read(replace(plan, debug=Debugging(("anna",), date(2026, 12, 31))))["write_files"]
    assert "\nOnCalendar=2027-01-01 00:00:00 UTC\n" in files[f"{UNITS}/hardway-debug.timer"]
    wanted = files[f"{UNITS}/hardway.target.d/debug.conf"].splitlines()
    assert wanted == ["[Unit]", "Wants=hardway-debug.service", "Wants=hardway-debug.timer"]


@pytest.mark.parametrize(
    ("now", "is_over"), [("20261223", False), ("20261224", False), ("20261225", True), ("20270101", True)]
)
def test_each_boot_asks_whether_it_is_over(debugged: dict[str, Any], tmp_path: Path, now: str, is_over: bool) -> None:
    """Run what the unit asks, as systemd hands it on, with a `date` that tells another day."""
    unit = debugged["write_files"][f"{UNITS}/hardway-debug.service"]
    (condition,) = (line for line in unit.splitlines() if line.startswith("ExecCondition="))
    script = condition.removeprefix('ExecCondition=sh -c "').removesuffix('"').replace("%%", "%")
    clock = tmp_path / "date"
    clock.write_text(f'#!/bin/sh\n[ "$*" = "--utc +%Y%m%d" ] && echo {now}\n')
    clock.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    assert (subprocess.run(["sh", "-c", script], env=environment, check=False).returncode == 0) == is_over
    assert "Before=ssh.service" in unit
    assert "ExecStart=systemctl --no-block mask --now ssh.service ssh.socket" in unit
