"""`gen keys`: what a person may get wrong ends in a sentence, and nothing is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from generator.cli.main import run
from tests.described import TUTORIAL


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "cluster.yaml").write_text(TUTORIAL)
    (tmp_path / "binary").write_bytes(b"\xd0\xff\x00" * 50)
    (tmp_path / "words").write_text("correct horse battery staple\n")
    return tmp_path / "cluster.yaml"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("export new.age --passphrase-file words", "holds no keys of a cluster"),
        ("export none/new.age --passphrase-file words", "there is no such directory"),
        ("export words --passphrase-file words", "is there already"),
        ("export new.age --passphrase-file words -r age1x", "recipients and a passphrase are two ways"),
        ("import words", "nobody is there to be asked for a passphrase"),
        ("import words --passphrase-file binary", "can't be read as text"),
        ("import words --identity binary", "can't be read as text"),
        ("import words --identity words", "the identity can't be read"),
        ("import binary --passphrase-file words", "can't be opened"),
    ],
)
def test_a_mistake_is_told(
    file: Path, words: str, said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(file.parent)
    before = sorted(file.parent.iterdir())
    assert run(["keys", *words.split()]) == 1
    assert said in capsys.readouterr().err
    assert sorted(file.parent.iterdir()) == before
