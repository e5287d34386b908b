"""What is written as YAML is read back as it was, by each reader, and can be read by people."""

from __future__ import annotations

import random

import pytest
import yaml

from generator import strict_yaml
from generator.manifests import emit

PIECES = [
    *("a", "B", "/", ":", " ", "#", "\n", "\t", "-", "'", '"', "é", "0", "~", "{", "}", "|", ">", "&", "*", "!", "%"),
    *("@", "`", "=", "no", "1e3", "0x1", "\\", "\r", "\u2028", "\x07", "😀", ".", "?", ",", "]", "\xa0", "\x85"),
]
READERS = [yaml.SafeLoader, *([yaml.CSafeLoader] if yaml.__with_libyaml__ else [])]


def text(chance: random.Random) -> str:
    return "".join(chance.choice(PIECES) for _ in range(chance.randrange(8)))


def value(chance: random.Random, depth: int = 0) -> object:
    kind = chance.random()
    if depth < 3 and kind < 0.3:
        return {text(chance): value(chance, depth + 1) for _ in range(chance.randrange(4))}
    if depth < 3 and kind < 0.5:
        return [value(chance, depth + 1) for _ in range(chance.randrange(4))]
    return chance.choice([text(chance), text(chance), chance.randrange(-5, 10**12), True, False, None, 0.5])


@pytest.mark.parametrize("seed", range(20))
def test_every_value_comes_back(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(100):
        made = value(chance)
        written = emit.text(made)
        for reader in READERS:
            assert yaml.load(written, Loader=reader) == made, written


@pytest.mark.parametrize("word", ["y", "No", "on", "1e3", "0x10", "0o7", "1_000", "12:30", "null", "~", "2026-11-22"])
def test_what_readers_dispute_is_quoted(word: str) -> None:
    assert emit.text({"a": word}) == f'a: "{word}"\n'
    (document,) = strict_yaml.parse_all(emit.text({"a": word}).encode(), "x")
    assert (document.value, document.oddities) == ({"a": word}, ())


def test_long_text_stands_as_it_is() -> None:
    assert emit.text({"data": {"a.conf": "one: 1\n\n  two\n"}}) == "data:\n  a.conf: |\n    one: 1\n\n      two\n"
