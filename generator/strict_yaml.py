"""Reads one YAML document without YAML's surprises, and remembers the line of everything in it.

Why not `yaml.safe_load`: it takes the last of two equal keys, turns `no`, `1.30` and `010` into something else than
was written, follows anchors into documents that explode, and ends in a traceback on deep nesting.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import yaml

from generator import worktree
from generator.errors import Problem, Problems, raise_all

LIMIT_BYTES = 256 * 1024
LIMIT_DEPTH = 16

Location = tuple[str | int, ...]
"""The keys and indexes that lead to a value: `("pools", 0, "count")`."""

# Ten times as fast, with other words for what is wrong; manifests may be long.
_FAST = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")
_MODE, _FRACTION = re.compile(r"0[0-7]{1,6}"), re.compile(r"-?(0|[1-9][0-9]{0,17})\.[0-9]{1,15}")
_BOOLEANS = {"true": True, "false": False}
_NULLS = ("", "~", "null")


class _Dispute(NamedTuple):
    """What readers of YAML 1.1 and 1.2 make of a plain word, and what to write instead."""

    message: str
    hint: str


_DISPUTED = {
    "bool": _Dispute(
        "is a boolean to some readers and a word to others", "write `true` or `false`, or the word in quotes"
    ),
    "int": _Dispute(
        "is a number to some readers and a word to others", "write digits without leading zero, or use quotes"
    ),
    "float": _Dispute(
        "is a fraction, and nothing here takes one", "write a whole number, or use quotes if text is meant"
    ),
    "timestamp": _Dispute("is a date to some readers and a word to others", "put it in quotes"),
    "null": _Dispute("is nothing to some readers and a word to others", "put it in quotes"),
    "merge": _Dispute("is a merge key to some readers", "put it in quotes"),
    "value": _Dispute("has a meaning of its own to some readers", "put it in quotes"),
}
# Controls, line separators, directional marks, zero-width and no-break spaces: a reviewer cannot see them.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00a0\u00ad\u061c\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff\ufff0-\uffff]"
)


@dataclass(frozen=True)
class Document:
    """A document as plain values, with the line of every key and item.

    `oddities` are the places where something else than plain YAML stands; who reads the document reports them
    together with its own findings.
    """

    value: Any
    lines: dict[Location, int]
    file: str
    oddities: tuple[tuple[Location, Problem], ...]

    def where(self, path: Location) -> str:
        """Name the place of a key or item, or of the nearest thing around it that was written."""
        while path and path not in self.lines:
            path = path[:-1]
        return f"{self.file}:{self.lines.get(path, 1)}"


class Dialect(NamedTuple):
    """What is taken besides the plainest YAML: how deep it may be, and what all readers of manifests take alike."""

    depth: int = LIMIT_DEPTH
    manifests: bool = False


PLAIN, MANIFESTS = Dialect(), Dialect(64, manifests=True)


def load(path: Path, *, base: Path | None = None, limit_bytes: int = LIMIT_BYTES) -> Document:
    """Read a file of a repository.

    Args:
        base: the directory below which no link is followed; the file's own unless given.

    Raises:
        Problem: the file cannot be read, is a link, or is no text.
        Problems: it has characters nobody can see, or is no YAML.
    """
    base = base or path.parent
    data = worktree.read(base, path.relative_to(base).as_posix(), limit_bytes=limit_bytes)
    if data is None:
        raise Problem("no such file", where=str(path))
    return parse(data, str(path), limit_bytes=limit_bytes)


def parse(data: bytes, file: str, *, limit_bytes: int = LIMIT_BYTES) -> Document:
    """Read the bytes of a document; `file` names it in messages."""
    return _Builder(_text(data, file, limit_bytes), file, PLAIN).document()


def parse_all(data: bytes, file: str, *, limit_bytes: int = LIMIT_BYTES) -> Iterator[Document]:
    """Read the documents of a file of manifests, one after the other; an empty one is None.

    Modes such as `0644`, decimal fractions and dates are what kubectl takes them for: a number, a number, text.

    Raises:
        Problem: it is too long, or no text.
        Problems: it has characters nobody can see, or is no YAML; the documents before were given.
    """
    yield from _Builder(_text(data, file, limit_bytes), file, MANIFESTS).documents()


def _text(data: bytes, file: str, limit_bytes: int) -> str:
    if len(data) > limit_bytes:
        raise Problem(f"the file has {len(data):,} bytes, at most {limit_bytes:,} are read", where=file)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Problem(f"byte {error.start} is not UTF-8", where=f"{file}:{line}") from error
    raise_all(
        Problem(f"character U+{ord(found.group()):04X} cannot be seen", where=f"{file}:{line}", hint="delete it")
        for line, content in enumerate(text.split("\n"), start=1)
        for found in _INVISIBLE.finditer(content)
    )
    return text


class _Builder:
    """Builds the values from the parser's events, so that nesting and aliases are seen before they cost anything."""

    def __init__(self, text: str, file: str, dialect: Dialect) -> None:
        self.events = self.caught(yaml.parse(text, Loader=_FAST if dialect.manifests else yaml.SafeLoader))
        self.file = file
        self.dialect = dialect
        self.lines: dict[Location, int] = {}
        self.oddities: list[tuple[Location, Problem]] = []

    def document(self) -> Document:
        found = next(self.documents(), None)
        for event in self.events if found else ():
            if isinstance(event, yaml.DocumentStartEvent):
                self.report((), event, "a second document starts here", "keep one document in the file")
                break
        return Document(found.value if found else None, self.lines, self.file, tuple(self.oddities))

    def documents(self) -> Iterator[Document]:
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                self.lines, self.oddities = {}, []
                value = self.value(next(self.events), (), 0)
                yield Document(value, self.lines, self.file, tuple(self.oddities))

    def caught(self, events: Iterator[Any]) -> Iterator[Any]:
        try:
            yield from events
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            what = " ".join(filter(None, (error.problem, error.context and f"({error.context})")))
            line = mark.line + 1 if mark else 1
            self.fail(Problem(f"not YAML: {what}", where=f"{self.file}:{line}"))

    def report(self, path: Location, event: Any, message: str, hint: str | None = None) -> None:
        problem = Problem(message, where=f"{self.file}:{_line(event)}", hint=hint)
        if not any(str(problem) == str(known) for _, known in self.oddities[-1:]):
            self.oddities.append((path, problem))

    def fail(self, problem: Problem) -> NoReturn:
        raise Problems([*(odd for _, odd in self.oddities), problem])

    def value(self, event: Any, path: Location, depth: int) -> Any:
        self.lines.setdefault(path, _line(event))
        if depth > self.dialect.depth:
            line = _line(event)
            self.fail(Problem(f"nested deeper than {self.dialect.depth} levels", where=f"{self.file}:{line}"))
        if isinstance(event, yaml.AliasEvent):
            self.report(
                path, event, f"`*{event.anchor}` is an alias", "write the value out; anchors and aliases are not read"
            )
            return None
        if event.anchor is not None:
            self.report(
                path, event, f"`&{event.anchor}` is an anchor", "write the value out; anchors and aliases are not read"
            )
        if event.tag is not None:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            self.report(path, event, f"`{tag}` is a tag", "leave it out; tags are not read")
        if isinstance(event, yaml.MappingStartEvent):
            return self.mapping(path, depth)
        if isinstance(event, yaml.SequenceStartEvent):
            return self.sequence(path, depth)
        return self.scalar(event, path)

    def mapping(self, path: Location, depth: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                self.value(event, (*path, "?"), depth + 1)
                self.report(path, event, "a key is no plain word")
                self.value(next(self.events), (*path, "?"), depth + 1)
                continue
            key = str(event.value)
            here = (*path, key)
            if event.anchor is not None or event.tag is not None:
                self.value(event, here, depth + 1)
            if key == "<<" and not event.style:
                self.report(here, event, "`<<` is a merge key", "write the keys out; merge keys are not read")
            elif key in result:
                self.report(here, event, f"`{key}` is given twice, first in line {self.lines[here]}")
            self.lines.setdefault(here, _line(event))
            result[key] = self.value(next(self.events), here, depth + 1)
        return result

    def sequence(self, path: Location, depth: int) -> list[Any]:
        result: list[Any] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            result.append(self.value(event, (*path, len(result)), depth + 1))
        return result

    def scalar(self, event: Any, path: Location) -> Any:
        """Give the value that every reader of YAML gives, and report where they would differ."""
        text = str(event.value)
        if event.style:
            return text
        if text in _BOOLEANS:
            return _BOOLEANS[text]
        if text in _NULLS:
            return None
        if _INTEGER.fullmatch(text):
            return int(text)
        tag = _read_by_others(text)
        if self.dialect.manifests and text in ("y", "Y", "n", "N"):
            tag = "bool"
        if self.dialect.manifests and (known := _of_a_manifest(text, tag)) is not None:
            return known
        if tag in _DISPUTED:
            message, hint = _DISPUTED[tag]
            self.report(path, event, f"`{text}` {message}", hint)
        return text


def _of_a_manifest(text: str, tag: str) -> int | float | str | None:
    """Give what kubectl makes of a plain word that others dispute; None where it had better be written otherwise.

    Source: https://github.com/kubernetes-sigs/yaml (goyaml.v2/resolve.go)
    """
    if _MODE.fullmatch(text):
        return int(text, 8)
    if _FRACTION.fullmatch(text):
        return float(text)
    return text if tag == "timestamp" else None


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


def _read_by_others(text: str) -> str:
    """Give the type that readers of YAML 1.1 take a plain word for; empty when it stays a word."""
    for tag, pattern in yaml.SafeLoader.yaml_implicit_resolvers.get(text[:1], ()):
        if pattern.match(text):
            return str(tag).rpartition(":")[2]
    return ""
