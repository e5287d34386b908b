"""Keeps the digests of the images of a user's own addons: `addons.lock`, beside the description."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, TypeAdapter

from generator import strict_yaml, validation, worktree
from generator.errors import Problem, raise_all
from generator.release import lock_file
from generator.strict_yaml import Document
from generator.validation import Misfit

LOCK = "addons.lock"
PINNING = f"`gen release pin` asks its registry and writes it into `{LOCK}`, to be committed"


def load(beside: Path) -> Mapping[str, str]:
    """Read which digest each image has, by its reference in full; nothing where there is no such file.

    Raises:
        Problem: it can't be read.
        Problems: everything that is wrong in it.
    """
    data = worktree.read(beside, LOCK, limit_bytes=lock_file.LIMIT_BYTES)
    if data is None:
        return {}
    document = strict_yaml.parse(data, str(beside / LOCK), limit_bytes=lock_file.LIMIT_BYTES)
    stored = validation.read(TypeAdapter(_Stored), document)
    raise_all(_twice(stored, document))
    return {row.reference: row.digest for row in stored.images}


def write(beside: Path, digests: Mapping[str, str]) -> None:
    """Write the file, sorted by reference."""
    rows = [{"reference": reference, "digest": digest} for reference, digest in sorted(digests.items())]
    text = "version: 1\n" + yaml.safe_dump({"images": rows}, sort_keys=False, width=2**31)
    worktree.write(beside, LOCK, text.encode())


def _twice(stored: _Stored, document: Document) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, image in enumerate(stored.images):
        if image.reference in seen:
            yield Problem(f"`{image.reference}` is listed twice", where=document.where(("images", index)))
        seen.add(image.reference)


def _reference(value: str) -> str:
    return lock_file.image("own", value).reference


def _digest(value: str) -> str:
    if not re.fullmatch(r"sha256:[0-9a-f]{64}", value):
        raise Misfit("not `sha256:` and 64 hex digits")
    return value


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    reference: Annotated[str, AfterValidator(_reference)]
    digest: Annotated[str, AfterValidator(_digest)]


class _Stored(BaseModel):
    """The file as it stands."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1]
    images: tuple[_Row, ...]
