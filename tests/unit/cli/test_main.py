"""The command line: exit codes, what goes to which stream, and how soon it says what it can."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from generator.cli import main as cli
from generator.cli.main import VERBS, run
from generator.description import tutorial
from generator.description.load import load as load_description
from generator.errors import Problem
from generator.release import lock_file


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_from_init_to_render_and_back(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init", "--api", "28.51.100.7"]) == 0
    assert run(["check"]) == 0
    assert run(["plan"]) == 0
    assert "node03" in capsys.readouterr().out
    assert run(["render"]) == 0
    assert "who loses it loses the cluster" in capsys.readouterr().err
    assert run(["render"]) == 0
    err = capsys.readouterr().err
    assert "nothing changed" in err
    assert "who loses it" not in err
    assert run(["render", "--check"]) == 0


def test_init_writes_a_right_description_under_any_possible_name(here: Path) -> None:
    for name, release in (("a", "k8s-1.36"), ("x" * 32, "k8s-1.36-source"), ("my-cluster", "a-release-of-a-long-name")):
        file = here / name / "cluster.yaml"
        (here / name / "releases").mkdir(parents=True)
        if lock_file.is_own(release):
            (here / name / "releases" / f"{release}.yaml").write_text("")
        tutorial.init(here / name, name, release, api=["28.51.100.7"])
        read = load_description(file)
        assert (read.name, read.release, read.spaces.bucket) == (name, release, f"{name}-hardway")
        assert all(len(line) <= 120 for line in file.read_text().splitlines())


def test_init_never_overwrites(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "cluster.yaml").write_text("mine\n")
    assert run(["init", "--api", "28.51.100.7"]) == 1
    assert "there is a description already" in capsys.readouterr().err
    assert [path.name for path in here.iterdir()] == ["cluster.yaml"]
    assert (here / "cluster.yaml").read_text() == "mine\n"


def test_init_refuses_an_impossible_name(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init", "No_Name", "--release", "../x"]) == 1
    err = capsys.readouterr().err
    assert "'No_Name' is not a DNS label" in err
    assert "'../x' is not the name of a release" in err
    assert list(here.iterdir()) == []


def test_git_ignores_the_keys_and_nothing_else(here: Path) -> None:
    subprocess.run(["git", "init", "-q"], cwd=here, check=True)
    assert run(["init", "--api", "28.51.100.7"]) == 0
    assert run(["render"]) == 0
    command = ["git", "status", "--porcelain", "--untracked-files=all"]
    listed = subprocess.run(command, cwd=here, check=True, capture_output=True, text=True).stdout.splitlines()
    paths = {line.removeprefix("?? ") for line in listed}
    assert {path for path in paths if path.startswith("keys/")} == {"keys/.gitignore", "keys/README.md"}
    assert {"cluster.yaml", "rendered/orderbook/inventory.yaml"} <= paths


def test_keys_are_private_whatever_the_umask(here: Path) -> None:
    assert run(["init", "--api", "28.51.100.7"]) == 0
    command = [sys.executable, "-m", "generator", "render"]
    subprocess.run(command, cwd=here, check=True, umask=0, capture_output=True)
    for path in [here / "keys" / "orderbook", *(here / "keys" / "orderbook").rglob("*")]:
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path


def test_json_of_check_and_plan(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init", "-h"]) == 0
    capsys.readouterr()
    assert run(["init", "--api", "28.51.100.7"]) == 0
    assert run(["check", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["problems"] == []
    assert run(["plan", "--json"]) == 0
    decided = json.loads(capsys.readouterr().out)
    assert [node["address"] for node in decided["nodes"]] == ["10.44.0.1", "10.44.0.2", "10.44.0.3"]
    (here / "cluster.yaml").write_text("name: X\n")
    assert run(["check", "--json"]) == 1
    problems = json.loads(capsys.readouterr().out)["problems"]
    assert {"where": "cluster.yaml:1", "message": "`region` is missing", "hint": None} in problems


@pytest.mark.parametrize("arguments", [["chekc"], ["check", "--no"], ["render", "--check", "x"], ["init", "a", "b"]])
def test_wrong_usage_is_2(arguments: list[str], here: Path) -> None:
    assert run(arguments) == 2


def test_no_description_is_a_problem(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for verb in ("check", "plan", "render"):
        assert run([verb]) == 1
        assert capsys.readouterr().err.startswith("error: cluster.yaml: no such file")


def test_a_place_that_takes_no_files_is_a_problem(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init", "--api", "28.51.100.7"]) == 0
    (here / "rendered").write_text("a file where a directory should be\n")
    assert run(["render"]) == 1
    assert "error: rendered: is not a directory" in capsys.readouterr().err


def test_interrupted_is_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.gen, "main", interrupt)
    assert run(["check"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_a_bug_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(cli.gen, "main", fail)
    with pytest.raises(ZeroDivisionError):
        run(["check"])


def test_a_problem_shows_place_and_hint(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(*_: object, **__: object) -> None:
        raise Problem("is wrong", where="x:1", hint="mend it")

    monkeypatch.setattr(cli.gen, "main", fail)
    assert run([]) == 1
    assert capsys.readouterr().err == "error: x:1: is wrong\n  hint: mend it\n"


def test_a_reader_that_has_enough_sees_no_traceback(here: Path) -> None:
    assert run(["init", "--api", "28.51.100.7"]) == 0
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "generator", "plan", "--json"], stdout=writing, stderr=subprocess.PIPE, check=False
    )
    os.close(writing)
    assert done.stderr == b""


def test_help_imports_nothing_heavy_and_is_quick() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "generator", "--help"]
    shown = subprocess.run(command, check=True, capture_output=True, text=True)
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in shown.stderr.splitlines() if "|" in line}
    assert not imported & {"pydantic", "cryptography", "pydo", "boto3", "jinja2", "yaml", "rich"}
    times = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "generator", "--help"], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    # The program's own time, and the best of five: a busy machine is not its fault.
    assert min(times) < 0.2, times


def test_every_verb_says_what_it_does_and_takes_help(capsys: pytest.CaptureFixture[str]) -> None:
    for verb, known in VERBS.items():
        assert run([verb, "--help"]) == 0
        assert verb in capsys.readouterr().out
        assert known.help.endswith(".")
