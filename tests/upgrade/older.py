"""Says what the minor versions before are, and how this program rendered their addons."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from generator.lab.content import recipes
from generator.lab.content.golang import Copy, GoRecipe
from generator.lab.content.images import Settings
from generator.release.lock_file import Image
from tests.images import NOBODY, Maker, Recipe

ROOT = Path(__file__).parents[2]
COREDNS = recipes.coredns("v1.13.2")
# As the recipe of the lock's version: what the module proxy lacks is replaced.
TRAEFIK = GoRecipe(
    "traefik",
    "github.com/traefik/traefik/v3",
    "v3.6.12",
    {"traefik": "github.com/traefik/traefik/v3/cmd/traefik"},
    own=Path(__file__).parent / "source" / "traefik",
    copies=(
        Copy("github.com/abbot/go-http-auth", "v0.4.0", "auth"),
        Copy("github.com/go-acme/lego/v4", "v4.33.0", "lego"),
    ),
    stamps={"github.com/traefik/traefik/v3/pkg/version.Version": "{number}"},
)
# What Traefik learned with the lock's minor version; whoever rendered for the one before did not say it.
SINCE = re.compile(
    r"^ +- --(?:.*\.aliasheadersstrategy|providers\.kubernetesingressnginx\.https?entrypoint)=.*\n", re.MULTILINE
)
_PROGRAM = ("generator", "userdata", "addons", "keys", "pyproject.toml")


@dataclass(frozen=True)
class Older:
    """The images of the versions before, and a copy of this program that renders for them."""

    images: tuple[Image, ...]
    program: Path

    def gen(self, directory: Path, *argv: str) -> None:
        """Run a verb of the older program."""
        command = [sys.executable, "-m", "generator", *argv]
        environment = {**os.environ, "PYTHONPATH": str(self.program)}
        subprocess.run(command, cwd=directory, env=environment, check=True, timeout=900)


def older(maker: Maker, current: Sequence[Image], directory: Path) -> Older:
    """Build the older versions, and copy the program to a directory.

    Args:
        current: the images of the lock, whose references tell the repositories.
    """
    repositories = {image.name: image.reference.rpartition(":")[0] for image in current}
    made = [
        _image(maker, COREDNS, repositories["coredns"], "/coredns", {}),
        _image(maker, TRAEFIK, repositories["traefik"], "/usr/local/bin/traefik", {"PATH": "/usr/local/bin"}),
    ]
    for part in _PROGRAM:
        source = ROOT / part
        copy = shutil.copytree if source.is_dir() else shutil.copyfile
        copy(source, directory / part)
    template = directory / "addons" / "ingress" / "daemon-set.yaml.j2"
    text, changed = SINCE.subn("", template.read_text())
    assert changed, "the template says nothing that is new"
    template.write_text(text)
    return Older(tuple(made), directory)


def _image(maker: Maker, recipe: GoRecipe, repository: str, path: str, environment: Mapping[str, str]) -> Image:
    program = maker.programs(recipe)[path.rpartition("/")[2]]
    settings = Settings([path], NOBODY, environment=environment)
    tag = recipe.version if "traefik" in recipe.name else recipe.version.removeprefix("v")
    return maker.image(Recipe(recipe.name, f"{repository}:{tag}", [], {path.lstrip("/"): program}, settings))
