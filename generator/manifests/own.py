"""Loads the addons of a user's own: reads their objects, holds them against each other, and writes them out plainly."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from generator.description.rules import order
from generator.description.schema import AddonSpec, ClusterSpec
from generator.errors import Problem, raise_all
from generator.manifests import beside, emit, images, kinds, kustomization, pins, reading, rules
from generator.manifests.reading import Identity, Item
from generator.release.lock_file import Release

LABEL = f"{rules.OURS}addon"
"""Says of each object which addon it belongs to; what bears another's is not deleted with it."""
SECRET_MARK = f"{rules.OURS}secret-"
NAME_LENGTH = 70


@dataclass(frozen=True)
class OwnAddon:
    """One addon of a user's: its objects in the order of application, as they are applied.

    `files` has for each its file below `addons/`, `places` where it was written; `warnings` are for `gen check`.
    """

    name: str
    after: tuple[str, ...]
    objects: tuple[Mapping[str, Any], ...] = field(repr=False)
    files: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """Give what is in each file."""
        return tuple(emit.text(value) for value in self.objects)

    @property
    def identities(self) -> tuple[Identity, ...]:
        """Say what each object is known by."""
        return tuple(identity(value) for value in self.objects)

    @property
    def namespaces(self) -> tuple[str, ...]:
        """Name the namespaces that it makes."""
        return tuple(one.name for one in self.identities if (one.group, one.kind) == ("", "Namespace"))


def identity(value: Mapping[str, Any]) -> Identity:
    """Say what an object is known by."""
    metadata = value["metadata"]
    return Identity(kinds.group(value["apiVersion"]), value["kind"], metadata.get("namespace") or "", metadata["name"])


def read(spec: ClusterSpec, base: Path) -> tuple[Mapping[str, list[Item]], list[Problem]]:
    """Read the objects of each addon of a user's, and what is wrong with files and forms.

    Args:
        spec: the description.
        base: the directory in which it lies.
    """
    problems: list[Problem] = []
    found: dict[str, list[Item]] = {}
    for addon in spec.addons:
        if addon.manifests is not None:
            items = reading.directory(base, addon.manifests, problems)
        elif addon.kustomization is not None:
            items = kustomization.build(base, addon.kustomization, problems)
        else:
            continue
        wrong = [(item, list(rules.shape(item))) for item in items]
        problems += [problem for _, of_it in wrong for problem in of_it]
        found[addon.name] = [item for item, of_it in wrong if not of_it]
        if len(items) > rules.LIMIT_OBJECTS:
            message = f"holds {len(items):,} objects, at most {rules.LIMIT_OBJECTS:,} are applied as one addon"
            problems.append(Problem(message, where=str(base / (addon.source or "")), hint="divide it"))
    return found, problems


def load(spec: ClusterSpec, base: Path, release: Release) -> tuple[OwnAddon, ...]:
    """Load all of them, in the order of application.

    Raises:
        Problem: `addons.lock` can't be read.
        Problems: everything that is wrong with any of them.
    """
    if not any(addon.source for addon in spec.addons):
        return ()
    found, problems = read(spec, base)
    digests = {**{one.reference: one.digest for one in release.images if one.is_pinned}, **pins.load(base)}
    addons = order(spec.addons)[0]
    problems += beside.problems(spec, addons, found)
    problems += [one for items in found.values() for item in items for one in rules.unpinned(item, digests)]
    raise_all(sorted(problems, key=_place))
    return tuple(_own(addon, found[addon.name], digests) for addon in addons if addon.source)


def _own(addon: AddonSpec, items: Sequence[Item], digests: Mapping[str, str]) -> OwnAddon:
    groups = frozenset(kinds.group(version) for item in items for version, _ in kinds.defined(item.value))
    ordered = sorted(items, key=lambda item: kinds.rank(item.value, groups))
    objects = tuple(_plain(item.value, addon.name, digests) for item in ordered)
    warnings = tuple(words for item in ordered for words in rules.secrets(item))
    places = tuple(item.where() for item in ordered)
    return OwnAddon(addon.name, addon.after, objects, _files(addon.name, objects), places, warnings)


def _plain(value: Mapping[str, Any], addon: str, digests: Mapping[str, str]) -> dict[str, Any]:
    """Give an object as it is applied: with our label and digests, and without what a server would have written."""
    found = images.pinned(value, digests)
    metadata = {key: one for key, one in found["metadata"].items() if one is not None}
    labels = metadata.get("labels") or {}
    metadata["labels"] = {**labels, LABEL: addon}
    head = {"apiVersion": found["apiVersion"], "kind": found["kind"], "metadata": metadata}
    whole = {**head, **{key: one for key, one in found.items() if key not in head and key != "status"}}
    return _marked(whole) if whole["kind"] in kinds.WORKLOADS else whole


def _marked(value: dict[str, Any]) -> dict[str, Any]:
    """Name in a pod template each Secret that it reads, so that its pods are replaced when one of ours changes."""
    template = value["spec"].get("template") if isinstance(value.get("spec"), dict) else None
    if not isinstance(template, dict):
        return value
    names = sorted(name for name in set(_secrets(template)) if len(f"secret-{name}") < 64)
    if not names:
        return value
    namespace = value["metadata"].get("namespace")
    metadata = dict(template.get("metadata") or {})
    marks = {f"{SECRET_MARK}{name}": f"@secret/{namespace}/{name}@" for name in names}
    metadata["annotations"] = {**(metadata.get("annotations") or {}), **marks}
    return {**value, "spec": {**value["spec"], "template": {**template, "metadata": metadata}}}


def _secrets(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for child in value:
            yield from _secrets(child)
    elif isinstance(value, dict):
        for key, child in value.items():
            name = child.get("secretName" if key == "secret" else "name") if isinstance(child, dict) else None
            if key in ("secret", "secretRef", "secretKeyRef") and isinstance(name, str):
                yield name
            yield from _secrets(child)


def _files(addon: str, objects: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Name each object's file for its kind and name; where that is not enough, with a few digits more."""
    plain = [_file(value) for value in objects]
    found = []
    for value, (name, is_whole) in zip(objects, plain, strict=True):
        mark = hashlib.sha256(repr(identity(value)).encode()).hexdigest()[:8]
        is_alone = sum(other == name for other, _ in plain) == 1
        found.append(f"{addon}/{name if is_whole and is_alone else f'{name}-{mark}'}.yaml")
    return tuple(found)


def _file(value: Mapping[str, Any]) -> tuple[str, bool]:
    kebab = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", value["kind"]).lower()
    whole = f"{kebab}-{value['metadata']['name']}"
    name = re.sub(r"[^a-z0-9]+", "-", whole.lower())[:NAME_LENGTH].strip("-")
    return name, len(whole) <= NAME_LENGTH


def _place(problem: Problem) -> tuple[str, int]:
    file, _, line = (problem.where or "").rpartition(":")
    return (file, int(line)) if line.isdigit() else (problem.where or "", 0)
