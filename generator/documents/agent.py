"""Packs `userdata/agent/`, the later steps of what runs on a node, into the archive that every document pins.

Why not in the documents: they are the same for every node and would fill most of what the provider takes. They are
rendered and reviewed once, and a node takes them only by the digest in its own document.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import PurePosixPath

from generator.files import resource
from generator.tar import PUBLIC, PackedFile, pack

PIN = PurePosixPath("/etc/hardway/agent.sha256")


def files() -> dict[str, bytes]:
    """Give the files by their path on the node, without the leading `/`, sorted."""
    root = resource("userdata") / "agent"
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*.py"))}


def archive(content: Mapping[str, bytes]) -> bytes:
    """Pack files into a tar that depends on nothing else."""
    return pack(PackedFile(f"/{path}", data, PUBLIC) for path, data in content.items())


def digest(content: Mapping[str, bytes]) -> str:
    """Give the SHA-256 of the archive: its name in Spaces, and what a document pins."""
    return hashlib.sha256(archive(content)).hexdigest()
