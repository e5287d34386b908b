"""Asks git about a work tree; whatever variables a hook has set, it is the one around the directory."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from generator.errors import Problem


def surrounds(directory: Path) -> bool:
    """Tell whether a directory lies in a git work tree."""
    base = directory.absolute()
    return any((place / ".git").exists() for place in (base, *base.parents))


def ask(directory: Path, arguments: list[str], text: str = "", *, accepted: tuple[int, ...] = (0,)) -> str:
    """Run git in a directory and give what it prints, as text.

    Raises:
        Problem: there is no git, or it can't tell.
    """
    return read(directory, arguments, text, accepted=accepted).decode(errors="surrogateescape")


def read(directory: Path, arguments: list[str], text: str = "", *, accepted: tuple[int, ...] = (0,)) -> bytes:
    """Run git in a directory and give what it prints, byte for byte.

    Raises:
        Problem: there is no git, or it can't tell.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", "-C", str(directory), *arguments],
            input=text.encode(errors="surrogateescape"),
            capture_output=True,
            check=False,
            env=environment,
        )
    except FileNotFoundError as error:
        raise Problem("it lies in a git work tree, and there is no `git` to ask", where=str(directory)) from error
    if done.returncode not in accepted:
        hint = " ".join(done.stderr.decode(errors="replace").split()) or None
        message = "it lies in a git work tree, and git can't say what of it is ignored or committed"
        raise Problem(message, where=str(directory), hint=hint)
    return done.stdout
