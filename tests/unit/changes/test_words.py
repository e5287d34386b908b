"""A change of a file is said in that file's words."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from generator.changes import words

KUBELET = {"maxPods": 110, "authentication": {"anonymous": {"enabled": False}}, "clusterDNS": ["10.43.0.10"]}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"maxPods": 60}, ["maxPods 110 → 60"]),
        ({"authentication": {"anonymous": {"enabled": True}}}, ["authentication.anonymous.enabled false → true"]),
        ({"clusterDNS": ["10.43.0.10", "1.1.1.1"]}, ["clusterDNS +1.1.1.1"]),
        ({"new": {"a": 1}}, ["new is new"]),
        ({"flag": None}, ["flag is new"]),
        ({}, []),
    ],
)
def test_values_are_compared(change: dict[str, Any], said: list[str]) -> None:
    for dump, path in ((yaml.safe_dump, "a.yaml"), (json.dumps, "a.json")):
        assert list(words.difference(path, dump(KUBELET), dump(KUBELET | change))) == said or not change
    if not change:
        assert words.difference("a.yaml", yaml.safe_dump(KUBELET), yaml.safe_dump(KUBELET)) == ()


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("a" * 64, "b" * 64, "x aaaaaaaaaaaa… → bbbbbbbbbbbb…"),
        ("a" * 64, "a" * 63 + "b", f"x {'a' * 64} → {'a' * 63}b"),
        (
            "https://dl.example.com/release/v1/bin/kubelet",
            "https://dl.example.com/release/v2/bin/kubelet",
            "x …/v1/… → …/v2/…",
        ),
        (
            "https://dl.example.com/release/v1/bin/kubelet",
            "https://dl.evil.example/release/v1/bin/kubelet",
            "x https://dl.example.com/release/v1/bin/kubelet → https://dl.evil.example/release/v1/bin/kubelet",
        ),
        (
            "https://dl.example.com/release/v1/bin/kubelet",
            "http://dl.example.com/release/v1/bin/kubelet/",
            "x https://dl.example.com/release/v1/bin/kubelet → http://dl.example.com/release/v1/bin/kubelet/",
        ),
        (
            "https://dl.example.com/release/kubelet-v1",
            "https://dl.example.com/release/kubelet-v2",
            "x …/kubelet-v1 → …/kubelet-v2",
        ),
    ],
)
def test_long_values_are_told_by_what_differs(before: str, after: str, said: str) -> None:
    for wrap in (lambda value: value, lambda value: [value]):
        assert list(words.changed({"x": wrap(before)}, {"x": wrap(after)})) == [said]


def test_flags_of_a_command_line_are_compared_one_by_one() -> None:
    unit = "[Service]\nExecStart=/bin/x \\\n  --a=1 \\\n  --b\nMemoryMax=1G\n"
    later = unit.replace("--a=1", "--a=2").replace("MemoryMax=1G", "MemoryMax=2G").replace("  --b\n", "  --c=3\n")
    assert list(words.difference("x.service", unit, later)) == [
        "ExecStart --a 1 → 2",
        "ExecStart --b is gone",
        "ExecStart --c 3 is new",
        "MemoryMax 1G → 2G",
    ]


def test_what_can_not_be_read_is_compared_by_lines() -> None:
    assert words.difference("a.yaml", "a: [", "a: [1") == ("- a: [", "+ a: [1")
    assert words.difference("a.json", "[" * 50_000, "[" * 50_001)
    assert words.difference("x.cfg", "one\ntwo\n", "one\nthree\n") == ("- two", "+ three")


def test_a_comment_alone_is_a_change_too() -> None:
    assert words.difference("a.yaml", "a: 1\n", "# why\na: 1\n") == ("+ # why",)


def test_long_ones_are_shortened_and_harmless() -> None:
    found = words.difference("x", "", "".join(f"line {number}\x1b[2J{'x' * 500}\n" for number in range(100)))
    assert (len(found), found[-1]) == (words.MOST_LINES + 1, "and 88 more")
    assert all(len(line) <= words.LONGEST and "\x1b" not in line for line in found)
