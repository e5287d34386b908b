"""What the README shows is what the program does."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import yaml

from generator.cli.main import VERBS, gen, run
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


@pytest.mark.parametrize(
    "page",
    # What errors name lies in a person's directory, not here.
    [page for page in PAGES if page.name != "errors.md"],
    ids=lambda page: page.relative_to(ROOT).as_posix(),
)
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


CI = (ROOT / "docs" / "ci.md").read_text()


def _scripts(value: object) -> Iterator[str]:
    """Give every shell script of a pipeline."""
    if isinstance(value, dict):
        for key, one in value.items():
            if key in ("run", "script", "before_script", "after_script"):
                yield from [one] if isinstance(one, str) else one
            else:
                yield from _scripts(one)
    elif isinstance(value, list):
        for one in value:
            yield from _scripts(one)


@pytest.mark.parametrize("text", re.findall(r"```yaml\n(.*?)```", CI, re.DOTALL), ids=["github", "gitlab"])
def test_a_pipeline_of_the_docs_is_one_and_its_commands_exist(text: str) -> None:
    scripts = list(_scripts(yaml.safe_load(text)))
    for script in scripts:
        assert subprocess.run(["sh", "-n"], input=script, text=True, check=False).returncode == 0, script
    commands = [words for script in scripts for words in re.findall(r"^gen (.+)$", script, re.MULTILINE)]
    assert {command.split()[0] for command in commands} == {"check", "diff", "render", "launch", "status"}
    for command in commands:
        verb, *words = re.sub(r" (>|\|).*", "", command).split()
        found = gen.get_command(click.Context(gen), verb)
        assert found is not None
        found.make_context(verb, words, resilient_parsing=False)


def test_the_reviewing_commands_need_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["init", "--api", "8.8.8.8"]) == 0
    assert run(["render"]) == 0
    shutil.rmtree(tmp_path / "keys" / "orderbook")
    for name in ("DIGITALOCEAN_TOKEN", "SPACES_ACCESS_KEY_ID", "SPACES_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    assert run(["check", "--min-days", "30"]) == 0
    assert run(["render", "--check"]) == 0
    for words in (["init", "-q"], ["add", "-A"], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x"]):
        subprocess.run(["git", *words], check=True)
    assert run(["diff", "--markdown"]) == 0
