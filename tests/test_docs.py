"""What the README shows is what the program does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from generator.cli.main import VERBS, run
from generator.description.load import load as load_description

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PAGES = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "keys/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
PLACE = re.compile(r"`((?:generator|userdata|addons|tests|scripts|docs)/[\w./-]+)`( \(new\))?")


def test_the_readmes_description_is_one(tmp_path: Path) -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    file = tmp_path / "cluster.yaml"
    file.write_text(block)
    assert load_description(file).name == "orderbook"


def test_the_readmes_description_is_what_init_writes(tmp_path: Path) -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    short = tmp_path / "short.yaml"
    short.write_text(block)
    assert run(["init", "--api", "28.51.100.7", "--directory", str(tmp_path / "new")]) == 0
    assert load_description(short) == load_description(tmp_path / "new" / "cluster.yaml")


def test_every_verb_is_in_the_readme() -> None:
    table = re.findall(r"^\| `gen ([a-z]+)` \|", README, re.MULTILINE)
    assert table == list(VERBS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        assert target.startswith("https://") or (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_files_that_a_page_names_are_there(page: Path) -> None:
    for place, is_new in PLACE.findall(" ".join(page.read_text().split())):
        assert (ROOT / place).exists() != bool(is_new), place


def test_every_page_is_linked_from_the_readme() -> None:
    links = re.findall(r"\]\(([^)#]+)", README)
    assert {page.relative_to(ROOT).as_posix() for page in PAGES} - {"README.md", "CHANGELOG.md"} <= set(links)


@pytest.mark.parametrize("script", ["demo", "test"])
def test_the_two_commands_are_there(script: str) -> None:
    assert f"    scripts/{script} " in README
    assert (ROOT / "scripts" / script).stat().st_mode & 0o111
