"""Renders `addons/` into the manifests that the bootstrap job applies, their order and their archive."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import yaml

from generator.description.rules import ADDONS as NEEDS
from generator.documents import early, templates, waits
from generator.errors import Problem, raise_all
from generator.files import resource
from generator.manifests.kinds import WORKLOADS, rank
from generator.manifests.own import OwnAddon, identity
from generator.plan.decide import Plan
from generator.tar import PUBLIC, PackedFile, pack

INDEX = "index.json"
ALWAYS = "base"
# The CNI file of `bridge` holds the node's own pod CIDR, so it is part of the node's document.
IN_THE_DOCUMENT = frozenset({"bridge"})

SERVED_LABEL = "hardway/ingress"
"""Label of the ingress's Roles and their bindings; its value is their namespace."""


@dataclass(frozen=True)
class Rendered:
    """One addon as it is applied: its files in that order, each with its text and the objects it holds."""

    name: str
    after: tuple[str, ...]
    files: Mapping[str, tuple[str, tuple[Mapping[str, Any], ...]]]
    own: OwnAddon | None = None

    @property
    def objects(self) -> tuple[Mapping[str, Any], ...]:
        """Give everything that it holds."""
        return tuple(item for _, items in self.files.values() for item in items)


def manifests(plan: Plan) -> dict[str, bytes]:
    """Render the plan's addons and their index.

    Returns:
        Content by path below `addons/`: `<addon>/<kind>.yaml` in the order of application, then `index.json`.

    Raises:
        Problems: an object of a user's has a name of ours.
    """
    rendered = _rendered(plan)
    raise_all(_taken(rendered))
    files = {path: text.encode() for addon in rendered for path, (text, _) in addon.files.items()}
    # All namespaces of ours come before everything: an addon may have something in that of a later one. So do those of
    # a user's that the ingress serves: it looks for them when it starts.
    spaces = [
        path
        for addon in rendered
        for path, (_, items) in addon.files.items()
        if _rank(items) == 0 and (addon.own is None or items[0]["metadata"]["name"] in plan.user_namespaces)
    ]
    index = _ordered([_entry(addon, spaces, plan) for addon in rendered])
    objects = [item for addon in rendered for item in addon.objects]
    images = early.early(objects, sum(node.schedulable for node in plan.nodes))
    text = json.dumps({"version": 1, "addons": index, "images": images}, indent=2)
    return files | {INDEX: text.encode() + b"\n"}


def _entry(addon: Rendered, spaces: list[str], plan: Plan) -> dict[str, Any]:
    """Give what the job has to know of an addon.

    `manifests` are applied in their order; `pauses` has, behind some of them, kubectl's arguments for what is waited
    for there, `wait` those for the end. An addon is up only once those are that it is `after`; one of a user's is
    not applied before, either. Only such a one has `objects`: group, kind, namespace and name of each; what was there
    before and is in none of them is deleted.
    """
    is_base = addon.name == ALWAYS
    entry: dict[str, Any] = {
        "name": addon.name,
        "after": list(addon.after),
        "manifests": (spaces if is_base else []) + [path for path in addon.files if path not in spaces],
        "namespaces": [item["metadata"]["name"] for item in addon.objects if item["kind"] == "Namespace"],
        "pauses": waits.pauses([(path, items) for path, (_, items) in addon.files.items() if path not in spaces]),
        "wait": waits.at_the_end(addon.objects),
        "withdraw": [_withdraw(plan)] if is_base else [],
    }
    return entry if addon.own is None else entry | {"objects": [list(astuple(one)) for one in addon.own.identities]}


def _ordered(index: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put those last for whose parts the job pauses: nobody waits along with them but who is after them."""
    needed = {name for entry in index for name in entry["after"]}
    return sorted(index, key=lambda entry: bool(entry["pauses"]) and entry["name"] not in needed)


def _rendered(plan: Plan) -> list[Rendered]:
    theirs = {addon.name: addon for addon in plan.own}
    found = []
    for name in dict.fromkeys((ALWAYS, *plan.addons)):
        if (own := theirs.get(name)) is not None:
            files = {path: (text, (item,)) for path, text, item in zip(own.files, own.texts, own.objects, strict=True)}
            found.append(Rendered(name, own.after, files, own))
        else:
            needed = tuple(need for need in NEEDS.get(name, ()) if need in plan.addons)
            found.append(Rendered(name, needed, _addon(name, plan)))
    return found


def _taken(rendered: Iterable[Rendered]) -> Iterator[Problem]:
    """Find objects of a user's that an addon of ours has."""
    ours = {identity(item): addon.name for addon in rendered if addon.own is None for item in addon.objects}
    for addon in rendered:
        for one, place in zip(addon.own.identities, addon.own.places, strict=True) if addon.own else ():
            if one in ours:
                yield Problem(f"{one} is in the addon `{ours[one]}`", where=place, hint="give yours another name")


def namespaces(files: Mapping[str, bytes]) -> frozenset[str]:
    """Name the namespaces in which addons may keep secrets: those that they make, but for what is always there."""
    index = json.loads(files[INDEX])["addons"]
    return frozenset(name for addon in index if addon["name"] != ALWAYS for name in addon["namespaces"])


def workloads(files: Mapping[str, bytes]) -> tuple[tuple[str, str, str], ...]:
    """Name what has to run for our addons to be up, as kind, namespace and name; a user's may be broken."""
    theirs = {one["name"] for one in json.loads(files[INDEX])["addons"] if "objects" in one}
    objects = (
        item
        for path, text in files.items()
        if path != INDEX and path.partition("/")[0] not in theirs
        for item in yaml.safe_load_all(text)
    )
    return tuple(
        (item["kind"], item["metadata"]["namespace"], item["metadata"]["name"])
        for item in objects
        if item and item["kind"] in WORKLOADS
    )


def archive(files: Mapping[str, bytes]) -> bytes:
    """Pack what `manifests` gave into a tar that depends on nothing else."""
    return pack(PackedFile(f"/{path}", content, PUBLIC) for path, content in files.items())


def digest(files: Mapping[str, bytes]) -> str:
    """Give the SHA-256 of the archive: its name in Spaces, and what the roster pins."""
    return hashlib.sha256(archive(files)).hexdigest()


def _addon(name: str, plan: Plan) -> dict[str, tuple[str, tuple[Mapping[str, Any], ...]]]:
    """Render one addon's files, in the order of application, each with the objects it holds."""
    if name in IN_THE_DOCUMENT:
        return {}
    rendered: dict[str, tuple[str, tuple[Mapping[str, Any], ...]]] = {}
    for source in (resource("addons") / name).iterdir():
        if not source.name.endswith((".yaml", ".yaml.j2")):
            continue
        text = _text(source, plan)
        if items := tuple(item for item in yaml.safe_load_all(text) if item):
            rendered[f"{name}/{source.name.removesuffix(templates.SUFFIX)}"] = (text, items)
    return dict(sorted(rendered.items(), key=lambda file: (_rank(file[1][1]), file[0])))


def _text(source: Path, plan: Plan) -> str:
    """Give a file as it is applied; only one whose name ends in `.j2` is a template."""
    if source.suffix != templates.SUFFIX:
        return source.read_text(encoding="utf-8")

    def config_digest(name: str) -> str:
        # In a pod's annotations, so that pods are replaced when the configuration they read at their start changes.
        return hashlib.sha256(_text(source.with_name(name), plan).encode()).hexdigest()[:16]

    def listed(name: str) -> list[str]:
        # What more than one manifest has to say is in a file of its own, which is no manifest.
        found: list[str] = yaml.safe_load(_text(source.with_name(name), plan))
        return found

    return templates.render(source, plan=plan, digest=config_digest, listed=listed)


def _rank(objects: Iterable[Mapping[str, Any]]) -> int:
    return max((rank(item) for item in objects), default=0)


def _withdraw(plan: Plan) -> list[str]:
    """Give kubectl's arguments that take the ingress's rights away where the description gives it none."""
    served = ",".join(plan.served_namespaces)
    selector = f"{SERVED_LABEL},{SERVED_LABEL} notin ({served})" if served else SERVED_LABEL
    return ["delete", "role,rolebinding", "--all-namespaces", f"--selector={selector}"]
