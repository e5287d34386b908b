"""Keeps what was fetched or built, by content, and remembers which recipe gave what, so that nothing is made twice."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from generator.files import make_private_directory, write_atomic
from generator.lab.progress import Progress
from generator.lab.state import State

CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Cache:
    """Blobs by SHA-256, results of recipes by the digest of their inputs, and room to work in.

    A blob is complete or absent, a result is only believed while all its blobs exist: an interruption
    at any moment costs the step that was under way and nothing else. Any part may be deleted by hand.
    """

    directory: Path

    @classmethod
    def default(cls) -> Cache:
        """Give the cache of this user (`~/.cache/hardway`, or `HARDWAY_CACHE`)."""
        return cls(State.named().cache)

    def blob(self, sha256: str) -> Path:
        """Tell where the content with this digest lies, if it does."""
        return self.directory / "blobs" / sha256[:2] / sha256

    def has(self, sha256: str) -> bool:
        """Tell whether the content is here."""
        return self.blob(sha256).is_file()

    def size(self, sha256: str) -> int:
        """Tell how many bytes the content has, which is here."""
        return self.blob(sha256).stat().st_size

    def partial(self, sha256: str) -> Path:
        """Tell where a download of this content gathers, so that it can be resumed."""
        return self._inside("partial") / sha256

    def adopt(self, path: Path) -> str:
        """Move a finished file of the same file system into the cache and give its digest."""
        digest = file_sha256(path)
        blob = self.blob(digest)
        with path.open("rb") as file:
            os.fsync(file.fileno())
        make_private_directory(blob.parent)
        # readable and executable: blobs are served, linked and run from where they lie, never written
        path.chmod(0o555)
        path.replace(blob)
        return digest

    def add(self, content: bytes) -> str:
        """Put bytes into the cache and give their digest."""
        digest = hashlib.sha256(content).hexdigest()
        if not self.has(digest):
            make_private_directory(self.blob(digest).parent)
            write_atomic(self.blob(digest), content, mode=0o555)
        return digest

    def result(self, key: str) -> Mapping[str, str] | None:
        """Recall what a recipe with these inputs gave: output name to digest, or `None` when anything is missing."""
        try:
            record = json.loads(self._record(key).read_bytes())
        except (FileNotFoundError, ValueError):
            return None
        outputs: dict[str, str] = record["outputs"]
        return outputs if all(self.has(digest) for digest in outputs.values()) else None

    def remember(self, key: str, recipe: str, outputs: Mapping[str, str]) -> None:
        """Note what a recipe gave; `recipe` is its name, for people who look into the cache."""
        self._inside("results")
        record = {"recipe": recipe, "outputs": dict(sorted(outputs.items()))}
        write_atomic(self._record(key), json.dumps(record, indent=1).encode() + b"\n")

    def note(self, name: str, text: str) -> None:
        """Keep a short text that is no content."""
        write_atomic(self._inside("notes") / name, text.encode())

    def noted(self, name: str) -> str | None:
        """Recall a short text."""
        try:
            return self._inside("notes").joinpath(name).read_text()
        except FileNotFoundError:
            return None

    @contextmanager
    def workspace(self, name: str) -> Iterator[Path]:
        """Lend an empty directory on the cache's file system and remove it afterwards."""
        path = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self._inside("work")))
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    @contextmanager
    def locked(self, progress: Progress) -> Iterator[None]:
        """Be the only process that fills the cache; others wait. The lock ends with the process, however it ends."""
        self._inside("work")
        with (self.directory / "lock").open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                progress.step("cache", f"wait for another process that fills {self.directory}")
                fcntl.flock(file, fcntl.LOCK_EX)
            # nobody else works now, so what lies here was left by a process that was killed
            for left in (self.directory / "work").iterdir():
                shutil.rmtree(left, ignore_errors=True)
            yield

    def _record(self, key: str) -> Path:
        return self.directory / "results" / f"{key}.json"

    def _inside(self, name: str) -> Path:
        path = self.directory / name
        make_private_directory(path)
        return path


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file a second name, or copy it where the file systems differ."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
        target.chmod(0o555)


def recipe_key(inputs: Mapping[str, object]) -> str:
    """Digest a recipe's inputs: the same inputs in any order give the same key.

    >>> recipe_key({"a": 1, "b": [2]}) == recipe_key({"b": [2], "a": 1})
    True
    """
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """Digest a file without reading it whole into memory."""
    with path.open("rb") as file:
        return stream_sha256(file)


def stream_sha256(file: BinaryIO) -> str:
    """Digest what is left of an open file."""
    digest = hashlib.sha256()
    while chunk := file.read(CHUNK_BYTES):
        digest.update(chunk)
    return digest.hexdigest()


def tree_sha256(directory: Path) -> str:
    """Digest the names and contents of all files below a directory."""
    rows = [
        f"{path.relative_to(directory).as_posix()} {file_sha256(path)}"
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    ]
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()
