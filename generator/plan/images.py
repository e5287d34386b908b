"""Decides which images of a lock a cluster runs, which of them a node, and which image is its order book."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from generator.description.schema import ClusterSpec
from generator.errors import Problem
from generator.manifests import images as manifest_images
from generator.manifests.own import OwnAddon
from generator.release import lock_file
from generator.release.lock_file import Image, Release

ORDER_BOOK = "order-book"
ALWAYS = ("pause",)
"""What every node runs, whatever the addons are."""
OF_ADDONS = {
    "cilium": ("cilium", "cilium-operator"),
    "coredns": ("coredns",),
    "ingress": ("traefik",),
    "metrics-server": ("metrics-server",),
    "order-book": ("postgres", ORDER_BOOK),
}
ANYWHERE = ("cilium",)
"""Addons whose pods run also where a taint keeps all others away."""


def chosen(spec: ClusterSpec, release: Release) -> Release:
    """Give a lock with the description's own order book in it, where it names one."""
    if spec.order_book.image is None:
        return release
    own = lock_file.image(ORDER_BOOK, spec.order_book.image)
    others = tuple(one for one in release.images if one.name != ORDER_BOOK)
    return replace(release, images=(*others, own))


def used(spec: ClusterSpec, release: Release) -> Release:
    """Give a lock with those images alone that the cluster runs: nothing is asked of the others."""
    needed = dict(_needed(spec))
    return replace(release, images=tuple(one for one in chosen(spec, release).images if one.name in needed))


def of_node(release: Release, addons: Iterable[str], own: Iterable[OwnAddon], *, schedulable: bool) -> tuple[str, ...]:
    """Name what a node's pods may be made of, in the order in which a boot needs it, each once and by its digest.

    An image without a digest is none of them: whatever has its name today may be another one when the pod starts.

    Args:
        release: the lock with those images alone that the cluster runs.
        addons: all of them, in the order of application.
        own: those of the user's own.
        schedulable: whether the node takes every pod, or only what a taint does not keep away.
    """
    order = [
        *ALWAYS,
        *(name for addon in addons if schedulable or addon in ANYWHERE for name in OF_ADDONS.get(addon, ())),
    ]
    known = {one.name: one.pinned for one in release.images if one.is_pinned}
    theirs = (one for addon in own if schedulable for value in addon.objects for one in manifest_images.inside(value))
    found = [*(known[name] for name in order if name in known), *filter(manifest_images.is_pinned, theirs)]
    return tuple(dict.fromkeys(found))


def missing(spec: ClusterSpec, release: Release) -> Iterator[Problem]:
    """Find images that the cluster runs and the lock does not have."""
    there = {one.name for one in used(spec, release).images}
    for name, why in _needed(spec):
        if name not in there:
            yield Problem(f"`{name}` is missing in `images`", where=f"release {release.name}", hint=f"{why} runs it")


def unpinned(spec: ClusterSpec, release: Release) -> Iterator[Problem]:
    """Find images that the cluster runs and that have no digest, each with what to do about it."""
    for image in used(spec, release).unpinned:
        own = image.name == ORDER_BOOK and spec.order_book.image is not None
        where = "`order_book.image`" if own else f"release {release.name}"
        yield Problem(f"`{image.reference}` has no digest", where=where, hint=_remedy(image))


def _needed(spec: ClusterSpec) -> Iterator[tuple[str, str]]:
    yield from ((name, "every node") for name in ALWAYS)
    for addon in spec.addons:
        yield from ((name, f"the addon `{addon.name}`") for name in OF_ADDONS.get(addon.name, ()))


def _remedy(image: Image) -> str:
    if image.name != ORDER_BOOK:
        return f"a launch runs nothing that is not pinned; {lock_file.PINNING}"
    return (
        "where `gen release pin` can't tell it, name any image that keeps the contract in docs/order-book.md as"
        " `order_book.image: <reference>@sha256:…`, and if it is private a file as `order_book.pull_secret`"
    )
