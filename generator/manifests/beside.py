"""Holds the objects of addons beside each other: what one needs has to be there before it, and nothing twice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set

from generator.description.rules import ADDONS
from generator.description.schema import AddonSpec, ClusterSpec
from generator.errors import Problem
from generator.manifests import kinds, rules
from generator.manifests.reading import Identity, Item

Found = Mapping[str, Sequence[Item]]
"""The objects of each addon of a user's, by its name."""


def problems(spec: ClusterSpec, addons: Sequence[AddonSpec], found: Found) -> Iterator[Problem]:
    """Find everything that is wrong with objects, alone and beside others.

    Args:
        spec: the description.
        addons: all that it lists, in the order of application.
        found: what was read.
    """
    before = _before(addons)
    brought = {addon.name: kinds.BROUGHT.get(addon.name, {}) for addon in addons}
    defines = {**brought, **{name: _defined(items) for name, items in found.items()}}
    makes = {name: _made(items) for name, items in found.items()}
    always = {"default", *spec.ingress.namespaces, *rules.CLOSED}
    for name, items in found.items():
        there = [one for one in (name, *before[name]) if one in defines]
        known = {**kinds.SERVED, **{kind: scope for one in there for kind, scope in defines[one].items()}}
        spaces = always.union(*(makes[one] for one in there if one in makes))
        for item in items:
            owner = next((one for one in defines if (item.version, item.kind) in defines[one]), None)
            if owner is not None and owner not in there:
                message = f"`{item.kind}` is defined by the addon `{owner}`, which need not be there before `{name}`"
                yield Problem(message, where=item.where("kind"), hint=f"write `after: [{owner}]` at `{name}`")
            else:
                yield from rules.place(item, known)
            yield from _nowhere(name, item, spaces, makes)
            yield from rules.contents(item)
            if (item.version, item.kind) == ("v1", "Namespace") and item.identity.name in spec.ingress.namespaces:
                yield from rules.served(item)
    yield from _twice(found)


def _before(addons: Sequence[AddonSpec]) -> Mapping[str, set[str]]:
    """Name what is up before each addon, with what is up before that."""
    found: dict[str, set[str]] = {}
    for addon in addons:
        direct = addon.after or ADDONS.get(addon.name, ())
        found[addon.name] = set(direct).union(*(found.get(name, ()) for name in direct))
    return found


def _defined(items: Sequence[Item]) -> Mapping[tuple[str, str], bool]:
    return {kind: scope for item in items for kind, scope in kinds.defined(item.value).items()}


def _made(items: Sequence[Item]) -> set[str]:
    return {item.identity.name for item in items if (item.version, item.kind) == ("v1", "Namespace")}


def _nowhere(addon: str, item: Item, spaces: Set[str], makes: Mapping[str, Set[str]]) -> Iterator[Problem]:
    namespace = item.identity.namespace
    if not namespace or namespace in spaces:
        return
    where, owner = item.where("metadata", "namespace"), next((one for one in makes if namespace in makes[one]), None)
    if owner is None:
        hint = "add a Namespace to the addon, or correct the name"
        yield Problem(f"nobody makes the namespace `{namespace}`", where=where, hint=hint)
    else:
        message = f"the addon `{owner}` makes the namespace `{namespace}`, and need not be there before `{addon}`"
        yield Problem(message, where=where, hint=f"write `after: [{owner}]` at `{addon}`")


def _twice(found: Found) -> Iterator[Problem]:
    seen: dict[Identity, str] = {}
    for items in found.values():
        for item in items:
            if item.identity in seen:
                message = f"{item.identity} is there a second time, first in {seen[item.identity]}"
                yield Problem(message, where=item.where(), hint="keep one of them")
            seen.setdefault(item.identity, item.where())
