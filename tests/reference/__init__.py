"""The pages of `docs/reference/`, made from the program itself: `scripts/reference` writes them, a test compares."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from . import commands, description, errors, words

ROOT = Path(__file__).parent.parent.parent
DIRECTORY = ROOT / "docs" / "reference"
COMMAND = "scripts/reference"
MADE = f"<!-- Made by `{COMMAND}`, never edited. -->\n"


def pages(scratch: Path) -> Mapping[str, str]:
    """Make every page by its name; clusters are rendered below an empty directory."""
    made = {
        "description.md": description.page(scratch),
        "commands.md": commands.page(),
        "words.md": words.page(),
        "errors.md": errors.page(),
    }
    return {name: MADE + text for name, text in made.items()}
