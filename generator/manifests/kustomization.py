"""Puts together what a kustomization says: that part of kustomize which needs no other program; the rest is refused."""

from __future__ import annotations

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
from generator.manifests import generating, merging, naming, reading, transforming
from generator.manifests.merging import CannotPatch
from generator.manifests.naming import Piece
from generator.manifests.reading import KUSTOMIZATIONS, Item
from generator.strict_yaml import Document
from generator.validation import shown, suggestion

KEYS = (
    *("apiVersion", "kind", "metadata", "resources", "namespace", "namePrefix", "nameSuffix", "labels", "commonLabels"),
    *("commonAnnotations", "images", "replicas", "patches", "configMapGenerator", "generatorOptions"),
)
# What kustomize takes besides, and what to do instead.
_REFUSED = {
    "bases": "list it in `resources`",
    "patchesStrategicMerge": "list them in `patches`, each as `path`",
    "patchesJson6902": "list them in `patches`, with `target`",
    "secretGenerator": "values lie below `keys/<cluster>/addons/<namespace>/<secret>/`, and are in no repository",
    "helmCharts": "render the chart into a directory of manifests, and name that",
    "components": "list their manifests in `resources`, and their patches in `patches`",
}
_ENTRY = {
    "labels": ("pairs", "includeSelectors", "includeTemplates"),
    "images": ("name", "newName", "newTag", "digest"),
    "replicas": ("name", "count"),
    "patches": ("path", "patch", "target"),
    "configMapGenerator": ("name", "namespace", "literals", "files", "envs", "options"),
}
_TARGET = ("group", "version", "kind", "name", "namespace")
_REMOTE = re.compile(r"[a-z+]+://|git@|git::|[a-z0-9.-]+\.[a-z]{2,}/[^/]+/|.*\?(ref|version|timeout)=", re.IGNORECASE)
LIMIT_FILE_BYTES = 1024 * 1024


def build(base: Path, path: str, problems: list[Problem]) -> list[Item]:
    """Give the objects that a kustomization makes.

    Args:
        base: the directory of the description; nothing outside of it is read.
        path: the kustomization's directory.
        problems: takes everything that is wrong, with file and line.
    """
    pieces = _Build(base, path, (), problems).pieces()
    naming.rename(
        pieces,
        {id(one): f"{one.item.identity.name}-{naming.content_hash(one.value)}" for one in pieces if one.is_hashed},
    )
    return [piece.item for piece in pieces]


class _Build:
    """One kustomization; `around` are those that it is part of."""

    def __init__(self, base: Path, path: str, around: tuple[str, ...], problems: list[Problem]) -> None:
        self.base, self.path, self.around, self.problems = base, path, around, problems
        self.document = self._read()
        value = self.document.value if self.document else None
        self.keys: dict[str, Any] = value if isinstance(value, dict) else {}

    def pieces(self) -> list[Piece]:
        if self.document is None:
            return []
        self._unknown()
        found = [piece for index, one in enumerate(self._list("resources")) for piece in self._resource(index, one)]
        found += [self._generated(index, one) for index, one in self._entries("configMapGenerator")]
        for index, one in self._entries("patches"):
            found = self._patched(index, one, found)
        if self.keys.get("namespace"):
            naming.into(found, str(self.keys["namespace"]))
        prefix, suffix = self.keys.get("namePrefix") or "", self.keys.get("nameSuffix") or ""
        if prefix or suffix:
            kept = ("Namespace", "CustomResourceDefinition", "APIService")
            naming.rename(
                found,
                {id(one): f"{prefix}{one.item.identity.name}{suffix}" for one in found if one.item.kind not in kept},
            )
        for piece in found:
            self._decorate(piece.value)
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

    def _unknown(self) -> None:
        for key in self.keys:
            if key in KEYS:
                continue
            hint = _REFUSED.get(key) or suggestion(key, KEYS) or f"known keys: {', '.join(KEYS[3:])}"
            self.wrong(f"`{key}` of a kustomization is not supported", key, hint=hint)

    def _list(self, key: str) -> Sequence[Any]:
        found = self.keys.get(key)
        if found is not None and not isinstance(found, list):
            self.wrong(f"`{key}` is {shown(found)}, not a list", key)
            return ()
        return found or ()

    def _entries(self, key: str) -> Iterator[tuple[int, dict[str, Any]]]:
        for index, one in enumerate(self._list(key)):
            if not isinstance(one, dict):
                self.wrong(f"`{key}[{index}]` is {shown(one)}, not a mapping", key, index)
                continue
            for name in one:
                if name not in _ENTRY[key]:
                    known = f"known keys: {', '.join(_ENTRY[key])}"
                    self.wrong(f"`{key}[{index}].{name}` is not supported", key, index, name, hint=known)
            yield index, one

    def _inside(self, reference: Any, *path: str | int) -> str | None:
        """Give the path below the description's directory that something names; None when it is outside."""
        if not isinstance(reference, str) or not reference:
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
        if path.endswith(reading.ENDINGS):
            items = reading.file(self.base, path, self.problems)
            return [naming.piece(item) for item in items]
        if path in (self.path, *self.around):
            self.wrong(f"{shown(reference)} leads round in a circle", "resources", index)
            return []
        return _Build(self.base, path, (self.path, *self.around), self.problems).pieces()

    def _generated(self, index: int, entry: Mapping[str, Any]) -> Piece:
        place = ("configMapGenerator", index)
        data: dict[str, str] = {}
        for at, one in enumerate(entry.get("literals") or ()):
            if "=" not in str(one):
                self.wrong(f"{shown(one)} is not `<key>=<value>`", *place, "literals", at)
            data |= generating.literal(str(one))
        for at, one in enumerate(entry.get("files") or ()):
            key, equals, reference = str(one).partition("=")
            data[posixpath.basename(key)] = self._text(reference if equals else key, *place, "files", at)
        for at, one in enumerate(entry.get("envs") or ()):
            data |= generating.environment(self._text(one, *place, "envs", at))
        general, own = self.keys.get("generatorOptions") or {}, entry.get("options") or {}
        for name in {**general, **own}:
            if name not in generating.OPTIONS:
                self.wrong(f"the option `{name}` of a generator is not supported", *place)
        assert self.document is not None
        value = generating.config_map(entry, data, general, own)
        item = Item(value, Document(value, {(): self.document.lines.get(place, 1)}, self.document.file, ()))
        is_plain = {**general, **own}.get("disableNameSuffixHash")
        return replace(naming.piece(item), is_hashed=not is_plain)

    def _text(self, reference: Any, *path: str | int) -> str:
        found = self._inside(reference, *path)
        if found is None:
            return ""
        try:
            content = self._file(found)
            if content is None:
                raise Problem("no such file", where=str(self.base / found))
            return content.decode()
        except Problem as problem:
            self.problems.append(problem)
        except UnicodeDecodeError:
            self.wrong(f"{shown(reference)} is no text", *path)
        return ""

    def _patched(self, index: int, entry: Mapping[str, Any], pieces: list[Piece]) -> list[Piece]:
        place = ("patches", index)
        if ("path" in entry) == ("patch" in entry):
            self.wrong(f"`patches[{index}]` has one of `path` and `patch`", *place)
            return pieces
        assert self.document is not None
        name = str(entry.get("path")) if "path" in entry else f"{self.document.where((*place, 'patch'))}"
        text = self._text(entry["path"], *place, "path") if "path" in entry else str(entry["patch"])
        try:
            patches = [one.value for one in strict_yaml.parse_all(text.encode(), name) if one.value is not None]
        except Problem as problem:
            self.problems.append(problem)
            return pieces
        except Problems as found:
            self.problems.extend(found.problems)
            return pieces
        for patch in patches:
            pieces = self._one_patch(index, patch, entry.get("target"), pieces)
        return pieces

    def _one_patch(self, index: int, patch: Any, target: Any, pieces: list[Piece]) -> list[Piece]:
        place = ("patches", index)
        if isinstance(patch, list) and not isinstance(target, dict):
            self.wrong(f"`patches[{index}]` is a JSON patch, and has no `target`", *place)
            return pieces
        for name in target or ():
            if name not in _TARGET:
                known = f"known keys: {', '.join(_TARGET)}"
                self.wrong(f"`patches[{index}].target.{name}` is not supported", *place, "target", name, hint=known)
        matching = [piece for piece in pieces if naming.is_meant(piece, patch, target)]
        if not matching:
            self.wrong(
                f"`patches[{index}]` fits no object", *place, hint="it is found by kind and name, or by `target`"
            )
        gone = []
        for piece in matching:
            try:
                if isinstance(patch, list):
                    value: dict[str, Any] | None = merging.patched(piece.value, patch)
                else:
                    names = {key: one for key, one in piece.value["metadata"].items() if key in ("name", "namespace")}
                    value = merging.merged(piece.value, patch)
                    if value is not None:
                        value = {**value, "kind": piece.value["kind"], "apiVersion": piece.value["apiVersion"]}
                        value["metadata"] = {**value.get("metadata", {}), **names}
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
        if not isinstance(count, int) or isinstance(count, bool):
            self.wrong(f"`replicas[{index}].count` is {shown(count)}, not a whole number", "replicas", index)
            return
        matching = [piece for piece in pieces if any(called == name for _, _, called in piece.names)]
        scaled = [piece for piece in matching if transforming.replicated(piece.value, count)]
        if not scaled:
            self.wrong(f"nothing that has replicas is called {shown(name)}", "replicas", index)

    def _decorate(self, value: dict[str, Any]) -> None:
        for one in self.keys.get("labels") or ():
            if isinstance(one, dict) and isinstance(one.get("pairs"), dict):
                selectors, templates = bool(one.get("includeSelectors")), bool(one.get("includeTemplates"))
                transforming.labelled(value, one["pairs"], selectors=selectors, templates=templates)
        if self.keys.get("commonLabels"):
            transforming.labelled(value, self.keys["commonLabels"], selectors=True, templates=True)
        if self.keys.get("commonAnnotations"):
            transforming.annotated(value, self.keys["commonAnnotations"])
