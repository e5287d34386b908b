"""Packs `userdata/agent/`, the later steps of what runs on a node, into the archive that every document pins.

Why not in the documents: they are the same for every node and would fill most of what the provider takes. They are
rendered and reviewed once, and a node takes them only by the digest in its own document.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from generator.errors import Problem, raise_all
from generator.files import resource
from generator.tar import PUBLIC, PackedFile, pack

PIN = PurePosixPath("/etc/hardway/agent.sha256")
LEFT_BY_PYTHON = "__pycache__"


def files(*, root: Path | None = None) -> dict[str, bytes]:
    """Give the files by their path on the node, without the leading `/`, sorted.

    All that lies below the root is given, but for what Python leaves there when it runs.

    Raises:
        Problems: something there is no file, or is no text that can be reviewed.
    """
    root = root or resource("userdata") / "agent"
    found: dict[str, bytes] = {}
    problems: list[Problem] = []
    for path in sorted(root.rglob("*")):
        if LEFT_BY_PYTHON in path.relative_to(root).parts or (path.is_dir() and not path.is_symlink()):
            continue
        if path.is_symlink() or not path.is_file():
            problems.append(Problem("is no regular file, and an agent has nothing else", where=str(path)))
            continue
        content = path.read_bytes()
        if not content.isascii() or b"\0" in content:
            problems.append(Problem("is not plain ASCII, so nobody can review it", where=str(path)))
        found[path.relative_to(root).as_posix()] = content
    raise_all(problems)
    return found


def archive(content: Mapping[str, bytes]) -> bytes:
    """Pack files into a tar that depends on nothing else."""
    return pack(PackedFile(f"/{path}", data, PUBLIC) for path, data in content.items())


def digest(content: Mapping[str, bytes]) -> str:
    """Give the SHA-256 of the archive: its name in Spaces, and what a document pins."""
    return hashlib.sha256(archive(content)).hexdigest()
