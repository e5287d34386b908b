"""Packs `userdata/agent/`, the later steps of what runs on a node, into the archive that every document pins.

Why not in the documents: they are the same for every node and would fill most of what the provider takes. They are
rendered and reviewed once, and a node takes them only by the digest in its own document.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from generator.documents import reviewable
from generator.errors import Problem, raise_all
from generator.files import resource
from generator.tar import PUBLIC, PackedFile, pack

PIN = PurePosixPath("/etc/hardway/agent.sha256")


def files(*, root: Path | None = None) -> dict[str, bytes]:
    """Give the files by their path on the node, without the leading `/`, sorted.

    Every file below `agent/` is packed or refused; only what Python and git leave there themselves is passed over, a
    directory `__pycache__` and a file `.gitkeep`.

    Raises:
        Problems: something is no regular file, or no plain text.
    """
    base = (root or resource("userdata")) / "agent"
    found: dict[str, bytes] = {}
    problems: list[Problem] = []
    for source in _sources(base):
        if source.is_symlink() or not source.is_file():
            problems.append(Problem("is no regular file", where=str(source)))
            continue
        content = source.read_bytes()
        problems += reviewable.faults(reviewable.decode(content), str(source))
        found[source.relative_to(base).as_posix()] = content
    raise_all(problems)
    return {path: found[path] for path in sorted(found)}


def archive(content: Mapping[str, bytes]) -> bytes:
    """Pack files into a tar that depends on nothing else."""
    return pack(PackedFile(f"/{path}", data, PUBLIC) for path, data in content.items())


def digest(content: Mapping[str, bytes]) -> str:
    """Give the SHA-256 of the archive: its name in Spaces, and what a document pins."""
    return hashlib.sha256(archive(content)).hexdigest()


def _sources(directory: Path) -> Iterator[Path]:
    """Find all but directories; one that can't be read is an error, unlike with `rglob`."""
    for path in sorted(directory.iterdir()):
        if path.is_dir() and not path.is_symlink():
            if path.name != "__pycache__":
                yield from _sources(path)
        elif path.name != ".gitkeep":
            yield path
