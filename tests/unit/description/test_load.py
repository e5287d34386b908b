"""Descriptions: whatever is in the file, the answer is a value or a list of sentences, never a traceback."""

from __future__ import annotations

import random
import re
import time
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from generator.description.load import load as load_description
from generator.description.schema import ClusterSpec
from generator.errors import Problem, Problems
from tests.described import TUTORIAL

# What has been tried on other programs, in places where a word is expected.
HOSTILE = (
    *("x; rm -rf /", "$(id)", "`id`", "a&&b", "%n", "${HOME}", "{{ 7*7 }}", "{% raw %}", "../../etc/passwd", "-oX=y"),
    *("x\nruncmd: [reboot]", "x\\", "x\x00", "x\u202e", "\u0441luster", "\uff11", "a" * 5000, "", " ", "~", "null"),
    *("- a", "{", "[", "}", "]", "&a", "*a", "!!python/name:os.system", "? a", "| x", ">", "#", "@", "%YAML 1.1"),
    *(
        "1e309",
        "-0",
        ".nan",
        "0o7",
        "1_000",
        "0x7f",
        "2026-11-22",
        "12:30:45",
        "on",
        "True",
        "'",
        '"',
        "\t",
        "---",
        "...",
    ),
)


def write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "cluster.yaml"
    file.write_bytes(text.encode("utf-8", errors="surrogateescape"))
    return file


def attempt(tmp_path: Path, text: str) -> ClusterSpec | None:
    try:
        return load_description(write(tmp_path, text))
    except (Problem, Problems) as error:
        shown = str(error)
    assert shown.startswith("error: ")
    assert all(line.isprintable() for line in shown.split("\n"))
    return None


def test_the_tutorial_is_read_as_it_is_meant(tmp_path: Path) -> None:
    read = load_description(write(tmp_path, TUTORIAL))
    assert read.network.pods == IPv4Network("10.42.0.0/16")
    assert [pool.name for pool in read.pools] == ["node"]
    assert read.pools[0].schedulable is True
    assert [addon.name for addon in read.addons] == ["cilium", "coredns", "ingress", "metrics-server", "order-book"]
    with pytest.raises(ValueError, match="frozen"):
        read.name = "other"  # type: ignore[misc]


def test_defaults_are_few(tmp_path: Path) -> None:
    text = TUTORIAL.replace("  datapath: mesh", "").replace("schedulable: true, ", "")
    text = text.replace("pools:", "pools:\n- {name: worker, role: worker, count: 1, size: s-1vcpu-1gb}\n#")
    text = text.replace("count: 1", "count: 2")
    read = attempt(tmp_path, text)
    assert read is not None
    assert read.network.datapath == "mesh"
    assert read.pools[0].schedulable is None


@pytest.mark.parametrize("word", HOSTILE, ids=ascii)
@pytest.mark.parametrize("quote", ["", "'", '"'], ids=["plain", "single", "double"])
def test_nothing_hostile_gets_through_a_field(tmp_path: Path, word: str, quote: str) -> None:
    fields = {
        "name: orderbook": f"name: {quote}{word}{quote}",
        "name: node": f"name: {quote}{word}{quote}",
        "fra1  ": f"{quote}{word}{quote}  ",
        "k8s-1.36": f"{quote}{word}{quote}",
        "orderbook-hardway": f"{quote}{word}{quote}",
        "s-2vcpu-4gb": f"{quote}{word}{quote}",
        "10.42.0.0/16": f"{quote}{word}{quote}",
        "28.51.100.7/32": f"{quote}{word}{quote}",
        "coredns": f"{quote}{word}{quote}",
        "count: 3": f"count: {quote}{word}{quote}",
    }
    for old, new in fields.items():
        assert old in TUTORIAL
        read = attempt(tmp_path, TUTORIAL.replace(old, new, 1))
        assert read is None or (re.fullmatch("[a-z0-9-]+", word) and read.spaces.bucket == word), new


def test_random_damage_is_described_not_suffered(tmp_path: Path) -> None:
    rng = random.Random(20261122)
    alphabet = "{}[]:,-#&*!|>'\"%@`?\\ \n\tabc019./\u00e9\u202e\x07" + "\udcff"
    survivors = 0
    for _ in range(1500):
        text = list(TUTORIAL)
        for _ in range(rng.randrange(1, 8)):
            place = rng.randrange(len(text))
            text[place : place + rng.randrange(3)] = rng.choices(alphabet, k=rng.randrange(4))
        started = time.monotonic()
        survivors += attempt(tmp_path, "".join(text)) is not None
        assert time.monotonic() - started < 2
    assert survivors > 0, "some damage hits comments alone"


def test_a_hundred_thousand_pools_are_refused_quickly(tmp_path: Path) -> None:
    pools = "".join(f"- {{name: p{number}x, role: worker, count: 1, size: s-1vcpu-1gb}}\n" for number in range(4000))
    text = TUTORIAL.replace("pools:", "pools:\n" + pools + "#")
    started = time.monotonic()
    assert attempt(tmp_path, text) is None
    assert time.monotonic() - started < 10
