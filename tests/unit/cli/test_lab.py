"""`gen lab` says plainly what it is, what is missing, and what was typed wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from generator.cli.lab import lab
from generator.cli.main import run
from generator.lab.about import CHECKLIST
from generator.lab.display import Display


@pytest.fixture(autouse=True)
def no_lab(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HARDWAY_LABS", str(tmp_path / "labs"))
    monkeypatch.setenv("HARDWAY_LAB", "lab")
    monkeypatch.chdir(tmp_path)


def test_the_page_and_the_command_list_the_same_points() -> None:
    page = (Path(__file__).parents[3] / "docs" / "lab.md").read_text()
    assert re.findall(r"^- \[ \] \*\*(.+?)\.\*\* ", page, re.MULTILINE) == [title for title, _ in CHECKLIST]
    assert page.count("- [ ]") == len(CHECKLIST)


def test_about_names_what_only_the_cloud_can_show(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["lab", "up", "--about"]) == 0
    text = capsys.readouterr().out
    for word in (
        "wireguard-go",
        "Control groups",
        "foreign source addresses",
        "Upstream's own bytes",
        "--kind",
        "`gen probe`",
    ):
        assert word in text


@pytest.mark.parametrize(
    "arguments",
    [
        ["exec", "node01", "--", "true"],
        ["address", "node01"],
        ["stop", "api"],
        ["power-cycle", "--all"],
        ["forward", "0"],
    ],
)
def test_without_a_lab_the_hint_is_to_bring_one_up(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["lab", *arguments]) == 1
    assert capsys.readouterr().err == "error: the lab `lab` is not up\n  hint: gen lab up\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["stop", "everything"],
        ["break", "everything"],
        ["spoofing", "perhaps"],
        ["exec", "node01"],
        ["address"],
        ["forward", "x"],
    ],
)
def test_wrong_usage_is_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["lab", *arguments]) == 2
    assert "Usage:" in capsys.readouterr().err


def test_an_unknown_unkindness_is_told_with_all_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["lab", "up", "--unkind", "rudeness=1"]) == 1
    text = capsys.readouterr().err
    assert "`rudeness` is not an unkindness" in text
    assert "failing_creates" in text


def test_building_without_a_description_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["lab", "build"]) == 1
    assert "error: cluster.yaml: there is no description\n" in capsys.readouterr().err


def test_every_command_has_a_sentence() -> None:
    assert {name: bool(command.help) for name, command in lab.commands.items()} == dict.fromkeys(lab.commands, True)


def test_steps_are_plain_lines_where_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    with Display() as display:
        for detail in ("fetch", "fetch", "unpack"):
            display.step("kubelet", detail)
    assert capsys.readouterr().err.splitlines() == ["kubelet: fetch", "kubelet: unpack"]


@pytest.mark.parametrize(
    ("words", "lab"),
    [
        (["logs", "--lab", "node01"], "this"),
        (["logs", "node01", "--lab"], "this"),
        (["logs", "--lab=other", "node01"], "other"),
        (["status", "--lab"], "this"),
        (["destroy", "--lab", "orderbook", "--yes", "orderbook"], "this"),
    ],
)
def test_a_lab_is_named_behind_an_equals_sign_alone(
    words: list[str], lab: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HARDWAY_LAB", "this")
    assert run(["init", "--api", "8.8.8.8"]) == 0
    capsys.readouterr()
    assert run(words) == 1
    assert f"error: the lab `{lab}` is not up\n" in capsys.readouterr().err
