"""Recipes say all that decides a binary, and every file of the lock has one."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from generator.errors import Problem
from generator.lab.content import recipes
from generator.lab.content.cache import Cache, recipe_key
from generator.lab.content.golang import Go, GoRecipe
from generator.lab.process import Process, wait_until_gone
from generator.release import lock_file
from tests.silent import Silent


def all_recipes() -> list[GoRecipe]:
    lock = lock_file.load("k8s-1.36", Path("/nonexistent"))
    made = {recipe.name: recipe for recipe in recipes.artifacts(lock).values()}
    others = [recipes.coredns("v1.14.7"), recipes.traefik("v3.7.13"), recipes.order_book(), *recipes.tools()]
    return [*made.values(), *others]


def test_every_artifact_has_a_recipe_that_gives_its_binaries() -> None:
    lock = lock_file.load("k8s-1.36", Path("/nonexistent"))
    found = recipes.artifacts(lock)
    for artifact in lock.artifacts:
        wanted = {member.rpartition("/")[2] or artifact.name for member in artifact.install}
        assert wanted <= set(found[artifact.name].packages)


@pytest.mark.parametrize("recipe", all_recipes(), ids=lambda recipe: recipe.name)
def test_the_pinned_sources_are_of_the_version_that_the_lock_names(recipe: GoRecipe) -> None:
    if recipe.own is None:
        return
    text = (recipe.own / "go.mod").read_text()
    assert not recipe.version or f"{recipe.module} {recipe.version}\n" in text
    assert (recipe.own / "go.sum").stat().st_size > 0
    for copy in recipe.copies:
        assert f"=> ./{copy.directory}\n" in text


@pytest.mark.parametrize(
    "change",
    [
        {"version": "v9.9.9"},
        {"tags": "other"},
        {"stamps": {"main.Version": "other"}},
        {"packages": {"x": "./other"}},
        {"cgo": True},
        {"module": "example.com/other"},
    ],
    ids=str,
)
def test_whatever_changes_a_binary_changes_its_key(change: dict[str, object]) -> None:
    recipe = GoRecipe("x", "example.com/x", "v1.0.0", {"x": "./x"})
    changed: GoRecipe = replace(recipe, **change)  # type: ignore[arg-type]
    assert recipe_key(recipe.inputs("go1.26.8")) != recipe_key(changed.inputs("go1.26.8"))
    assert recipe_key(recipe.inputs("go1.26.8")) != recipe_key(recipe.inputs("go1.26.9"))


def fake_go(directory: Path, version: str) -> None:
    program = directory / "go"
    program.write_text(f"#!/bin/sh\necho {version}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


@pytest.mark.parametrize("version", ["go1.25.9", "go1.9", "devel", ""])
def test_an_old_go_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    fake_go(tmp_path, version)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Problem, match="too old"):
        Go.find()


@pytest.mark.parametrize("version", ["go1.26", "go1.26.8", "go1.30rc1", "go2.0"])
def test_a_new_go_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    fake_go(tmp_path, version)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert Go.find().version == version


def test_without_go_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Problem, match="not on PATH") as caught:
        Go.find()
    assert "1.26" in str(caught.value.hint)


def test_what_was_built_is_not_built_again(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    recipe = GoRecipe("x", "example.com/x", "v1.0.0", {"x": "./x"})
    go = Go("/nonexistent/go", "go1.26.8")
    outputs = {"x": cache.add(b"binary")}
    cache.remember(recipe_key(recipe.inputs(go.version)), "x", outputs)
    assert go.build(recipe, cache, Silent()) == outputs


# downloads nothing, then hangs as a compiler with a child of its own does
HANGING_GO = """\
#!/bin/sh
if [ "$1" = mod ]; then echo '{{"Dir": "/"}}'; exit; fi
echo 'example.com/x' >&2
sleep 300.{mark} &
wait
"""
BUILD = """\
import sys
from pathlib import Path
from generator.lab.content.cache import Cache
from generator.lab.content.golang import Go, GoRecipe
from tests.silent import Silent
recipe = GoRecipe("x", "example.com/x", "v1.0.0", {"x": "./x"})
Go(sys.argv[1], "go1.26.8").build(recipe, Cache(Path(sys.argv[2])), Silent())
"""


def sleeping(mark: str) -> list[Process]:
    """Find what the hanging Go started, in whatever namespace it is."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes()
        except OSError:
            continue
        if words == f"sleep\x00300.{mark}\x00".encode() and (process := Process.find(int(path.parent.name))):
            found.append(process)
    return found


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has PID namespaces")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_compilers_end_with_whoever_builds(tmp_path: Path, how: signal.Signals) -> None:
    mark = f"{os.getpid()}{int(how):02}"
    go = tmp_path / "go"
    go.write_text(HANGING_GO.format(mark=mark))
    go.chmod(0o755)
    command = [sys.executable, "-c", BUILD, str(go), str(tmp_path / "cache")]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as building:
        limit = time.monotonic() + 20
        while not (started := sleeping(mark)) and time.monotonic() < limit:
            time.sleep(0.05)
        building.send_signal(how)
    assert started
    left = wait_until_gone(started, 5)
    for process in left:
        process.kill()
    assert left == ()
