"""What the loader takes, and what it refuses although every other reader takes it."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import pytest
import yaml

from generator import strict_yaml
from generator.errors import Problem, Problems


def read(text: str) -> strict_yaml.Document:
    return strict_yaml.parse(text.encode(), "x.yaml")


@pytest.mark.parametrize(
    "text",
    [
        "a: 1\nb: [x, 'y', \"z\"]\nc: {d: true, e: null, f: ~, g: }\n",
        "- a\n- - b\n  - c\n",
        "text: |\n  one\n  two\n",
        "'1.30': \"no\"\n",
        "a: -12\nb: v1.36.4\nc: 10.42.0.0/16\n",
    ],
)
def test_plain_yaml_reads_as_everybody_reads_it(text: str) -> None:
    document = read(text)
    assert document.value == yaml.safe_load(text)
    assert document.oddities == ()


@pytest.mark.parametrize(
    "word", ["no", "On", "1.30", "010", "0x10", "1_000", "10:30:00", "2026-11-22", ".inf", "NULL", "0b1"]
)
def test_words_that_readers_disagree_about_are_named(word: str) -> None:
    assert not isinstance(yaml.safe_load(f"[{word}]")[0], str)
    document = read(f"a: {word}\nb: '{word}'\n")
    assert [path for path, _ in document.oddities] == [("a",)]
    assert document.value["b"] == word


def test_lines_are_those_of_keys_and_items() -> None:
    document = read("a: 1\nb:\n  - x\n  - y: 2\n    z:\n      - q\n")
    assert document.where(("b", 1, "z")) == "x.yaml:5"
    assert document.where(("b", 1, "z", 0)) == "x.yaml:6"
    assert document.where(("b", 0, "nothing", "there")) == "x.yaml:3"
    assert document.where(("gone",)) == "x.yaml:1"


def test_a_bomb_costs_nothing() -> None:
    names = "abcdefghijklmnopqrstuvwxyz"
    lines = [
        f"{name}: &{name} [{', '.join('*' + below for _ in range(9))}]" for below, name in itertools.pairwise(names)
    ]
    started = time.monotonic()
    document = read("a: &a [x]\n" + "\n".join(lines) + "\n")
    assert time.monotonic() - started < 1
    assert len(document.oddities) == 2 * len(lines) + 1


def test_deep_nesting_is_a_problem_not_a_crash() -> None:
    with pytest.raises(Problems) as caught:
        read("[" * 20_000)
    assert "nested deeper" in str(caught.value)


def test_a_large_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(b"#" * (strict_yaml.LIMIT_BYTES + 1))
    with pytest.raises(Problem, match="at most 262,144"):
        strict_yaml.load(path)


@pytest.mark.parametrize("kind", ["missing", "directory"])
def test_what_is_no_file_is_a_problem(tmp_path: Path, kind: str) -> None:
    with pytest.raises(Problem):
        strict_yaml.load(tmp_path if kind == "directory" else tmp_path / "missing.yaml")


def test_windows_line_ends_are_taken() -> None:
    assert read("a: 1\r\nb: x\r\n").value == {"a": 1, "b": "x"}


@pytest.mark.parametrize("character", ["\x00", "\x1b", "\x7f", "\u00a0", "\u200b", "\u2028", "\u202e", "\ufeff"])
def test_invisible_characters_are_named_with_their_line(character: str) -> None:
    with pytest.raises(Problems) as caught:
        read(f"a: 1\nb: x{character}y\n")
    assert f"x.yaml:2: character U+{ord(character):04X}" in str(caught.value)
