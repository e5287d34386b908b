"""Puts together what a kustomization says: that part of kustomize which needs no other program; the rest is refused."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from generator import strict_yaml, worktree
from generator.description.values import closed_part
from generator.errors import Problem, Problems
from generator.manifests import forms, generating, merging, naming, reading, rules, spending, transforming
from generator.manifests.merging import CannotPatch
from generator.manifests.naming import Piece
from generator.manifests.reading import KUSTOMIZATIONS, Item
from generator.manifests.spending import Spent
from generator.strict_yaml import Document
from generator.validation import shown

_REMOTE = re.compile(r"[a-z+]+://|git@|git::|[a-z0-9.-]+\.[a-z]{2,}/[^/]+/|.*\?(ref|version|timeout)=", re.IGNORECASE)
LIMIT_FILE_BYTES = 1024 * 1024


def build(base: Path, path: str, problems: list[Problem]) -> list[Item]:
    """Give the objects that a kustomization makes.

    Args:
        base: the directory of the description; nothing outside of it is read.
        path: the kustomization's directory.
        problems: takes everything that is wrong, with file and line.
    """
    try:
        pieces = _Build(base, path, (), problems, Spent(str(base / path))).pieces()
    except Problem as problem:
        problems.append(problem)
        return []
    naming.rename(
        pieces,
        {id(one): f"{one.item.identity.name}-{naming.content_hash(one.value)}" for one in pieces if one.is_hashed},
    )
    return [piece.item for piece in pieces]


def _is_path(text: str) -> bool:
    """Tell whether a file could have this path at all."""
    return "\0" not in text and all(len(os.fsencode(part)) <= 255 for part in text.split("/"))


class _Build:
    """One kustomization; `around` are those that it is part of."""

    def __init__(self, base: Path, path: str, around: tuple[str, ...], problems: list[Problem], spent: Spent) -> None:
        self.base, self.path, self.around, self.problems, self.spent = base, path, around, problems, spent
        self.document = self._read()
        value = self.document.value if self.document else None
        self.keys: dict[str, Any] = self._fitting(value if isinstance(value, dict) else {}, forms.KEYS)

    def pieces(self) -> list[Piece]:
        if self.document is None:
            return []
        for key, message, hint in forms.unknown(self.document.value if isinstance(self.document.value, dict) else {}):
            self.wrong(message, key, hint=hint)
        found = [
            piece for index, one in enumerate(self.keys.get("resources") or ()) for piece in self._resource(index, one)
        ]
        found += self._shapely([self._generated(index, one) for index, one in self._entries("configMapGenerator")])
        for index, one in self._entries("patches"):
            found = self._shapely(self._patched(index, one, found))
        if self.keys.get("namespace"):
            naming.into(found, self.keys["namespace"])
        prefix, suffix = self.keys.get("namePrefix") or "", self.keys.get("nameSuffix") or ""
        if prefix or suffix:
            kept = ("Namespace", "CustomResourceDefinition", "APIService")
            naming.rename(
                found,
                {id(one): f"{prefix}{one.item.identity.name}{suffix}" for one in found if one.item.kind not in kept},
            )
        labels = [one for _, one in self._entries("labels")]
        for piece in found:
            self._decorate(piece.value, labels)
        for index, one in self._entries("replicas"):
            self._replicated(index, one, found)
        for _, one in self._entries("images"):
            for piece in found:
                change = partial(transforming.image, name=str(one.get("name")), entry=one)
                piece.item = replace(piece.item, value=transforming.with_images(piece.value, change))
        return found

    def wrong(self, message: str, *path: str | int, hint: str | None = None) -> None:
        assert self.document is not None
        self.problems.append(Problem(message, where=self.document.where(path), hint=hint))

    def _read(self) -> Document | None:
        where = str(self.base / self.path)
        try:
            there = [(name, data) for name in KUSTOMIZATIONS if (data := self._file(f"{self.path}/{name}")) is not None]
            if len(there) != 1:
                what = " and ".join(f"`{name}`" for name, _ in there) if there else "no `kustomization.yaml`"
                raise Problem(f"holds {what}", where=where)
            document = strict_yaml.parse(there[0][1], f"{where}/{there[0][0]}")
        except Problem as problem:
            self.problems.append(problem)
            return None
        except Problems as found:
            self.problems.extend(found.problems)
            return None
        self.problems.extend(problem for _, problem in document.oddities)
        return document

    def _file(self, path: str) -> bytes | None:
        return worktree.read(self.base, path, limit_bytes=LIMIT_FILE_BYTES)

    def _fitting(self, keys: Mapping[str, Any], known: Mapping[str, str], *path: str | int) -> dict[str, Any]:
        """Give keys without those that have something else than may be there."""
        prefix = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")
        wrong = list(forms.misfits(keys, known, f"{prefix}." if prefix else ""))
        for key, message, hint in wrong:
            self.wrong(message, *path, key, hint=hint)
        return {key: value for key, value in keys.items() if key not in {one for one, _, _ in wrong}}

    def _entries(self, key: str) -> Iterator[tuple[int, dict[str, Any]]]:
        """Give the entries of a list that can be used."""
        for index, one in enumerate(self.keys.get(key) or ()):
            if not isinstance(one, dict):
                self.wrong(f"`{key}[{index}]` is {shown(one)}, not a mapping", key, index)
                continue
            for name, message, hint in forms.strange(one, forms.ENTRY[key], f"{key}[{index}]"):
                self.wrong(message, key, index, name, hint=hint)
            entry = self._fitting(one, forms.ENTRY[key], key, index)
            if len(entry) == len(one):
                yield index, {name: value for name, value in entry.items() if value is not None}

    def _shapely(self, pieces: Sequence[Piece]) -> list[Piece]:
        """Give those that are objects; what follows takes them for such."""
        found = []
        for piece in pieces:
            wrong = list(rules.shape(piece.item))
            self.problems += wrong
            found += [] if wrong else [piece]
        return found

    def _inside(self, reference: Any, *path: str | int) -> str | None:
        """Give the path below the description's directory that something names; None when it is outside."""
        if not isinstance(reference, str) or not reference or not _is_path(reference):
            self.wrong(f"{shown(reference)} is no path", *path)
            return None
        if _REMOTE.match(reference):
            hint = "copy what is there into the repository: what was reviewed is what runs"
            self.wrong(f"{shown(reference)} is not in this repository", *path, hint=hint)
            return None
        found = posixpath.normpath(posixpath.join(self.path, reference))
        if reference.startswith("/") or closed_part(found):
            hint = (
                "everything lies below the description's directory, outside of `keys/`, `rendered/` and what is hidden"
            )
            self.wrong(f"{shown(reference)} leads out of what may be read", *path, hint=hint)
            return None
        return found

    def _resource(self, index: int, reference: Any) -> list[Piece]:
        path = self._inside(reference, "resources", index)
        if path is None:
            return []
        is_circle = path in (self.path, *self.around)
        if path in self.spent.listed and not is_circle:
            hint = "list it once, in a kustomization that the others list"
            self.wrong(f"{shown(reference)} is listed a second time", "resources", index, hint=hint)
            return []
        self.spent.listed.add(path)
        if path.endswith(reading.ENDINGS):
            items = reading.file(self.base, path, self.problems)
            self.spent.take(objects=len(items))
            return self._shapely([naming.piece(item) for item in items])
        if is_circle:
            self.wrong(f"{shown(reference)} leads round in a circle", "resources", index)
            return []
        return _Build(self.base, path, (self.path, *self.around), self.problems, self.spent).pieces()

    def _generated(self, index: int, entry: Mapping[str, Any]) -> Piece:
        self.spent.take(objects=1)
        place = ("configMapGenerator", index)
        data: dict[str, str] = {}
        for at, one in enumerate(entry.get("literals") or ()):
            if "=" not in one:
                self.wrong(f"{shown(one)} is not `<key>=<value>`", *place, "literals", at)
            data |= generating.literal(one)
        for at, one in enumerate(entry.get("files") or ()):
            key, equals, reference = one.partition("=")
            data[posixpath.basename(key)] = self._text(reference if equals else key, *place, "files", at)
        for at, one in enumerate(entry.get("envs") or ()):
            data |= generating.environment(self._text(one, *place, "envs", at))
        general = self._options("generatorOptions", self.keys.get("generatorOptions"), "generatorOptions")
        own = self._options(f"configMapGenerator[{index}].options", entry.get("options"), *place, "options")
        assert self.document is not None
        value = generating.config_map(entry, data, general, own)
        item = Item(value, Document(value, {(): self.document.lines.get(place, 1)}, self.document.file, ()))
        is_plain = {**general, **own}.get("disableNameSuffixHash")
        return replace(naming.piece(item), is_hashed=not is_plain)

    def _options(self, name: str, found: Mapping[str, Any] | None, *path: str | int) -> dict[str, Any]:
        for key, message, hint in forms.strange(found or {}, forms.OPTIONS, name):
            self.wrong(message, *path, key, hint=hint)
        return self._fitting(found or {}, forms.OPTIONS, *path)

    def _text(self, reference: Any, *path: str | int) -> str:
        found = self._inside(reference, *path)
        if found is None:
            return ""
        self.spent.take(size=spending.LEAST_READ_BYTES)
        try:
            content = self._file(found)
            if content is None:
                raise Problem("no such file", where=str(self.base / found))
            text = content.decode()
        except Problem as problem:
            self.problems.append(problem)
        except UnicodeDecodeError:
            self.wrong(f"{shown(reference)} is no text", *path)
        else:
            self.spent.take(size=len(content))
            return text
        return ""

    def _patched(self, index: int, entry: Mapping[str, Any], pieces: list[Piece]) -> list[Piece]:
        place = ("patches", index)
        if ("path" in entry) == ("patch" in entry):
            self.wrong(f"`patches[{index}]` has one of `path` and `patch`", *place)
            return pieces
        assert self.document is not None
        name = entry["path"] if "path" in entry else self.document.where((*place, "patch"))
        text = self._text(entry["path"], *place, "path") if "path" in entry else entry["patch"]
        try:
            patches = [one.value for one in strict_yaml.parse_all(text.encode(), name) if one.value is not None]
        except Problem as problem:
            self.problems.append(problem)
            return pieces
        except Problems as found:
            self.problems.extend(found.problems)
            return pieces
        target = entry.get("target")
        for key, message, hint in forms.strange(target or {}, forms.TARGET, f"patches[{index}].target"):
            self.wrong(message, *place, "target", key, hint=hint)
        if self._fitting(target or {}, forms.TARGET, *place, "target") != (target or {}):
            return pieces
        for patch in patches:
            pieces = self._one_patch(index, patch, target, pieces)
        return pieces

    def _one_patch(self, index: int, patch: Any, target: Any, pieces: list[Piece]) -> list[Piece]:
        place = ("patches", index)
        if isinstance(patch, list) and not isinstance(target, dict):
            self.wrong(f"`patches[{index}]` is a JSON patch, and has no `target`", *place)
            return pieces
        if not isinstance(patch, list | dict):
            self.wrong(f"`patches[{index}]` is {shown(patch)}, not a patch", *place)
            return pieces
        self.spent.take(held=len(pieces))
        matching = [piece for piece in pieces if naming.is_meant(piece, patch, target)]
        if not matching:
            self.wrong(
                f"`patches[{index}]` fits no object", *place, hint="it is found by kind and name, or by `target`"
            )
        gone, size = [], merging.size(patch)

        def count(size: int) -> None:
            self.spent.take(size=size)

        for piece in matching:
            count(size)
            try:
                if isinstance(patch, list):
                    value: dict[str, Any] | None = merging.patched(piece.value, patch, count)
                else:
                    names = {key: one for key, one in piece.value["metadata"].items() if key in ("name", "namespace")}
                    value = merging.merged(piece.value, patch)
                    if value is not None:
                        value = {**value, "kind": piece.value["kind"], "apiVersion": piece.value["apiVersion"]}
                        metadata = value.get("metadata")
                        value["metadata"] = {**(metadata if isinstance(metadata, dict) else {}), **names}
            except CannotPatch as error:
                self.wrong(f"`patches[{index}]` can't be applied to {piece.item.identity}: {error}", *place)
                continue
            if value is None:
                gone.append(id(piece))
            else:
                piece.item = replace(piece.item, value=value)
        return [piece for piece in pieces if id(piece) not in gone]

    def _replicated(self, index: int, entry: Mapping[str, Any], pieces: Sequence[Piece]) -> None:
        name, count = entry.get("name"), entry.get("count")
        if count is None:
            self.wrong(f"`replicas[{index}]` has no `count`", "replicas", index)
            return
        matching = [piece for piece in pieces if any(called == name for _, _, called in piece.names)]
        scaled = [piece for piece in matching if transforming.replicated(piece.value, count)]
        if not scaled:
            self.wrong(f"nothing that has replicas is called {shown(name)}", "replicas", index)

    def _decorate(self, value: dict[str, Any], labels: Sequence[Mapping[str, Any]]) -> None:
        for one in labels:
            selectors, templates = bool(one.get("includeSelectors")), bool(one.get("includeTemplates"))
            transforming.labelled(value, one.get("pairs") or {}, selectors=selectors, templates=templates)
        if self.keys.get("commonLabels"):
            transforming.labelled(value, self.keys["commonLabels"], selectors=True, templates=True)
        if self.keys.get("commonAnnotations"):
            transforming.annotated(value, self.keys["commonAnnotations"])
