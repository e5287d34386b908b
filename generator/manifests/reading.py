"""Reads the objects of manifests, each with the lines on which it was written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from generator import strict_yaml, worktree
from generator.description.values import closed_part
from generator.errors import Problem, Problems
from generator.manifests import kinds
from generator.strict_yaml import Document
from generator.validation import shown

LIMIT_BYTES = 2 * 1024 * 1024
"""Of one file."""
ENDINGS = (".yaml", ".yml", ".json")
KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")
_LINK = "put the file or directory itself there; if you did not make the link, look at who did"


@dataclass(frozen=True)
class Identity:
    """What an object is known by, whichever version of its kind it is written in."""

    group: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        """Name it as kubectl does, with its namespace."""
        place = f" of namespace {self.namespace}" if self.namespace else ""
        return f"{self.kind} {self.name}{place}"


@dataclass(frozen=True)
class Item:
    """One object, and the document that it was read from; what changes it keeps the lines."""

    value: dict[str, Any]
    document: Document

    def where(self, *path: str | int) -> str:
        """Name the place of a key, or of the nearest thing around it that was written."""
        return self.document.where(path)

    @property
    def kind(self) -> str:
        """Give its kind; empty where none is written."""
        found = self.value.get("kind")
        return found if isinstance(found, str) else ""

    @property
    def version(self) -> str:
        """Give its apiVersion; empty where none is written."""
        found = self.value.get("apiVersion")
        return found if isinstance(found, str) else ""

    @property
    def metadata(self) -> dict[str, Any]:
        """Give its metadata; nothing where none is written."""
        found = self.value.get("metadata")
        return found if isinstance(found, dict) else {}

    @property
    def identity(self) -> Identity:
        """Say what it is known by."""
        namespace, name = self.metadata.get("namespace"), self.metadata.get("name")
        return Identity(kinds.group(self.version), self.kind, str(namespace or ""), str(name or ""))


def directory(base: Path, path: str, problems: list[Problem]) -> list[Item]:
    """Read all manifests below a directory, in the order of their paths.

    Args:
        base: the directory of the description; no link below it is followed.
        problems: takes everything that is wrong, with file and line.
    """
    try:
        found = worktree.entries(base, path)
    except Problem as problem:
        problems.append(problem)
        return []
    items: list[Item] = []
    known = len(problems)
    for name, entry in found.items():
        where = str(base / path / name)
        if entry.kind == "link":
            problems.append(Problem("lies among manifests as a symbolic link", where=where, hint=_LINK))
        elif entry.kind == "special":
            problems.append(Problem("lies among manifests, and is no regular file", where=where))
        elif name.endswith(ENDINGS) and (closed := closed_part(name)):
            message = f"lies among manifests, but in `{closed}`, of which nothing is read"
            problems.append(Problem(message, where=where, hint="put it elsewhere, or what is beside it"))
        elif name.rpartition("/")[2] in KUSTOMIZATIONS:
            hint = f"write `kustomization: {path}` instead of `manifests`, or take the file away"
            problems.append(Problem("is a kustomization among plain manifests", where=where, hint=hint))
        elif name.endswith(ENDINGS):
            items += file(base, f"{path}/{name}", problems)
    if not items and len(problems) == known:
        hint = "manifests are files that end in `.yaml`, `.yml` or `.json`"
        problems.append(Problem("holds no manifests", where=str(base / path), hint=hint))
    return items


def file(base: Path, path: str, problems: list[Problem]) -> list[Item]:
    """Read the objects of one file."""
    items: list[Item] = []
    try:
        for document in _documents(base, path):
            problems.extend(problem for _, problem in document.oddities)
            if isinstance(document.value, dict):
                items.append(Item(document.value, document))
            elif document.value is not None:
                problems.append(Problem(f"{shown(document.value)} is no object", where=document.where(())))
    except Problem as problem:
        problems.append(problem)
    except Problems as found:
        problems.extend(found.problems)
    return items


def _documents(base: Path, path: str) -> Iterator[Document]:
    data = worktree.read(base, path, limit_bytes=LIMIT_BYTES)
    if data is None:
        raise Problem("no such file", where=str(base / path))
    yield from strict_yaml.parse_all(data, str(base / path), limit_bytes=LIMIT_BYTES)
