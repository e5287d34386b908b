"""What a host lacks for a lab is said at once and before any work; what can be loaded is no lack."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest

from generator.errors import Problem
from generator.lab.machines import borrowed, cgroups, kernel, requirements
from generator.lab.machines.requirements import Need
from generator.lab.state import State, read_record

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="root alone can load modules")
NOTHING = Need("nothing")


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State("lab", tmp_path / "labs", tmp_path / "cache")


def messages(problems: Iterable[Problem]) -> str:
    return "\n".join(f"{problem.where or ''} {problem.message} / {problem.hint}" for problem in problems)


@pytest.fixture
def modprobe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A kernel whose modules are names in a file, with the modprobe and the list of it that go with that."""
    loaded, tools = tmp_path / "loaded", tmp_path / "tools"
    loaded.write_text("")
    tools.mkdir()
    (tools / "modprobe").write_text(f"""#!/bin/sh
case "$1" in
--dry-run) [ "$3" != absent ] ;;
--all) shift; for each; do echo "$each 1 0 - Live 0" >> {loaded}; done; echo "nft_ct 1 0 - Live 0" >> {loaded} ;;
--remove) grep -v "^$2 " {loaded} > {loaded}.new; mv {loaded}.new {loaded} ;;
esac
""")
    (tools / "modprobe").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")

    def available() -> tuple[str, ...]:
        return tuple(line.split()[0] for line in loaded.read_text().splitlines())

    def idle() -> set[str]:
        rows = [line.split() for line in loaded.read_text().splitlines()]
        return {row[0] for row in rows if row[2] == "0"}

    monkeypatch.setattr(kernel, "available", available)
    monkeypatch.setattr(kernel, "is_modular", lambda: True)
    monkeypatch.setattr(borrowed, "_idle_modules", idle)
    return loaded


def test_missing_packages_stand_in_one_line(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = {"no-such-command-1": "one", "no-such-command-2": "two", "sh": "dash"}
    monkeypatch.setattr(requirements, "COMMANDS", commands)
    problems = requirements.missing(state, NOTHING, {"no-such-command-3": "one"})
    (found,) = [problem for problem in problems if problem.message.startswith("packages are missing")]
    assert found.hint is not None
    assert found.hint.startswith("apt-get install")
    assert [word for word in found.hint.split() if word in ("one", "two", "dash")] == ["one", "two"]


@ROOT
def test_what_can_be_loaded_is_loaded_and_given_back_by_the_last_lab(state: State, modprobe: Path) -> None:
    modprobe.write_text("overlay 1 3 - Live 0\nwireguard 1 0 - Live 0\n")
    assert "the kernel" not in messages(requirements.missing(state, NOTHING))
    state.claim()
    assert kernel.load(state) == tuple(name for name in kernel.NEEDED if name != "overlay")
    assert "veth" in modprobe.read_text()
    other = State("other", state.labs, state.cache)
    other.claim()
    assert kernel.load(other) == ()
    shutil.rmtree(state.directory)
    borrowed.give_back(state)
    assert "veth" in modprobe.read_text()
    shutil.rmtree(other.directory)
    assert borrowed.left(other) == (state.labs / "borrowed.json",)
    borrowed.give_back(other)
    # what was there before stays, what the kernel loaded with the lab's own goes too
    assert modprobe.read_text() == "overlay 1 3 - Live 0\nwireguard 1 0 - Live 0\n"
    assert not state.labs.exists()


@ROOT
def test_a_module_that_somebody_has_come_to_use_stays(state: State, modprobe: Path) -> None:
    state.claim()
    kernel.load(state)
    modprobe.write_text(modprobe.read_text().replace("bridge 1 0", "bridge 1 2"))
    shutil.rmtree(state.directory)
    borrowed.give_back(state)
    assert modprobe.read_text() == "bridge 1 2 - Live 0\n"


@pytest.mark.usefixtures("modprobe")
def test_what_can_not_be_loaded_is_said(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "NEEDED", ("absent", "overlay"))
    assert "the kernel neither has nor can load: absent / on the machine" in messages(
        requirements.missing(state, NOTHING)
    )


def test_a_host_that_is_too_small_is_told_each_lack(state: State) -> None:
    text = messages(requirements.missing(state, Need("a lab of 900 droplets", memory=1e6, cache=2e6, labs=1e6)))
    assert "a lab of 900 droplets takes 1000000.0 GiB of memory" in text
    # cache and labs share a disk
    assert "a lab of 900 droplets takes 3000000 GiB of disk" in text
    assert "HARDWAY_CACHE" in text


def test_a_single_core_is_told_and_forbids_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3})
    assert requirements.slow(Need("a lab")) == (
        "a lab is slow on 1 core, and times may run out: two are what it is made for",
    )
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 4})
    assert requirements.slow(Need("a lab")) == ()


def test_the_first_build_takes_more_than_later_ones(state: State) -> None:
    first = requirements.building(state).cache
    (state.cache / "results").mkdir(parents=True)
    (state.cache / "results" / "x.json").touch()
    assert requirements.building(state).cache < first


@ROOT
def test_a_container_without_the_rights_is_refused(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    assert requirements.missing(state, NOTHING) == []
    monkeypatch.setattr(requirements, "_TRIAL", "mount -t no-such-system none /mnt")
    assert "root may not do here what a droplet's start takes" in messages(requirements.missing(state, NOTHING))
    monkeypatch.setattr(requirements, "_effective_capabilities", lambda: 0)
    assert "root lacks CAP_NET_ADMIN, CAP_SYS_ADMIN" in messages(requirements.missing(state, NOTHING))
    monkeypatch.setattr(cgroups, "hierarchies", lambda: ())
    assert "no cgroup hierarchy is mounted" in messages(requirements.missing(state, NOTHING))


def test_watchers_are_raised_to_what_all_labs_take_and_given_back(
    state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = tmp_path / "limit"
    limit.write_text("128\n")
    monkeypatch.setattr(borrowed, "WATCHERS", limit)
    other = State("other", state.labs, state.cache)
    for each in (state, other):
        each.claim()
    assert borrowed.watchers(state, 3) is None
    assert borrowed.watchers(other, 1) == 152
    assert borrowed.watchers(state, 5) == 212
    assert borrowed.watchers(state, 4) is None
    assert limit.read_text() == "212"
    shutil.rmtree(state.directory)
    borrowed.give_back(state)
    assert limit.read_text() == "212"
    assert borrowed.watchers(other, 2) is None
    shutil.rmtree(other.directory)
    borrowed.give_back(other)
    assert limit.read_text() == "128"


def test_where_the_limit_can_not_be_raised_droplets_are_made_nevertheless(
    state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Fixed(type(tmp_path)):  # type: ignore[misc]
        def write_text(self, *_: object, **__: object) -> int:
            raise OSError(30, "Read-only file system")

    (tmp_path / "limit").write_text("128\n")
    monkeypatch.setattr(borrowed, "WATCHERS", Fixed(tmp_path / "limit"))
    state.claim()
    assert borrowed.watchers(state, 9) == 302
    shutil.rmtree(state.directory)
    borrowed.give_back(state)
    assert not state.labs.exists()


def test_a_record_is_written_before_anything_is_switched_on(state: State) -> None:
    borrowed.note(state, "controllers", ["cpu"])
    borrowed.note(state, "controllers", ["memory"])
    borrowed.note_first(state, "controllers", ["pids"])
    assert read_record(state.labs / "borrowed.json") == {"version": 1, "controllers": ["cpu", "memory"]}
