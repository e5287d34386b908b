"""The cache never believes in what is not whole, and gives each content one place."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from generator.lab.content.cache import Cache, recipe_key, tree_sha256
from tests.silent import Silent


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def test_content_is_found_by_its_digest(cache: Cache) -> None:
    digest = cache.add(b"content")
    assert digest == hashlib.sha256(b"content").hexdigest()
    assert cache.has(digest)
    assert cache.blob(digest).read_bytes() == b"content"
    assert cache.add(b"content") == digest


def test_an_adopted_file_moves_and_can_be_run(cache: Cache) -> None:
    with cache.workspace("test") as work:
        (work / "program").write_text("#!/bin/sh\necho ran\n")
        digest = cache.adopt(work / "program")
        assert not (work / "program").exists()
    answer = subprocess.run([cache.blob(digest)], capture_output=True, text=True, check=True)
    assert answer.stdout == "ran\n"


def test_a_workspace_is_gone_afterwards_also_after_an_error(cache: Cache) -> None:
    used: list[Path] = []

    def interrupted() -> None:
        with cache.workspace("test") as work:
            used.append(work)
            (work / "half").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not used[0].exists()


def test_a_result_counts_only_while_all_it_names_is_there(cache: Cache) -> None:
    one, two = cache.add(b"one"), cache.add(b"two")
    key = recipe_key({"kind": "test"})
    assert cache.result(key) is None
    cache.remember(key, "test", {"one": one, "two": two})
    assert cache.result(key) == {"one": one, "two": two}
    cache.blob(two).unlink()
    assert cache.result(key) is None


def test_a_broken_record_is_no_result(cache: Cache) -> None:
    key = recipe_key({"kind": "test"})
    cache.remember(key, "test", {"one": cache.add(b"one")})
    record = next((cache.directory / "results").iterdir())
    record.write_text(record.read_text()[:-10])
    assert cache.result(key) is None


def test_any_other_input_is_another_recipe() -> None:
    inputs = {"go": "go1.26.8", "tags": "a", "packages": {"x": "./x"}}
    keys = {recipe_key(inputs | change) for change in ({}, {"go": "go1.27"}, {"tags": ""}, {"packages": {"x": "./y"}})}
    assert len(keys) == 4


def test_a_tree_is_its_names_and_contents(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name / "below").mkdir(parents=True)
        (tmp_path / name / "below" / "file").write_text("same")
    assert tree_sha256(tmp_path / "one") == tree_sha256(tmp_path / "two")
    (tmp_path / "two" / "below" / "file").rename(tmp_path / "two" / "file")
    assert tree_sha256(tmp_path / "one") != tree_sha256(tmp_path / "two")


def test_what_a_killed_process_left_is_removed_and_its_lock_is_free(cache: Cache) -> None:
    program = (
        "import os, pathlib, sys\n"
        "from generator.lab.content.cache import Cache\n"
        "from tests.silent import Silent\n"
        "cache = Cache(pathlib.Path(sys.argv[1]))\n"
        "with cache.locked(Silent()), cache.workspace('left') as work:\n"
        "    (work / 'half').write_text('half')\n"
        "    print(work, flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program, str(cache.directory)], capture_output=True, text=True, check=False
    )
    left = Path(answer.stdout.strip())
    assert answer.returncode == -9
    assert (left / "half").exists()
    with cache.locked(Silent()):
        assert not left.exists()


def test_a_second_process_waits_and_says_so(cache: Cache) -> None:
    said: list[str] = []
    waits = threading.Event()

    class Progress:
        def step(self, name: str, detail: str) -> None:
            said.append(f"{name}: {detail}")
            waits.set()

    def second() -> None:
        with cache.locked(Progress()):
            said.append("second")

    with cache.locked(Silent()):
        thread = threading.Thread(target=second)
        thread.start()
        assert waits.wait(10)
        said.append("first")
    thread.join(10)
    assert said == [f"cache: wait for another process that fills {cache.directory}", "first", "second"]


def test_a_record_can_be_read_by_people(cache: Cache) -> None:
    cache.remember("key", "runc v1.5.1 go1.26.8", {"runc": cache.add(b"runc")})
    record = json.loads((cache.directory / "results" / "key.json").read_text())
    assert record["recipe"] == "runc v1.5.1 go1.26.8"
