"""Writes the pages of the reference."""

from __future__ import annotations

import tempfile
from pathlib import Path

from . import DIRECTORY, pages

with tempfile.TemporaryDirectory() as scratch:
    for name, text in pages(Path(scratch)).items():
        DIRECTORY.mkdir(parents=True, exist_ok=True)
        (DIRECTORY / name).write_text(text, encoding="utf-8")
