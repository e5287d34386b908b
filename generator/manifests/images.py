"""Finds the images of pods wherever a manifest has them, and writes the digest behind each."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from generator.manifests.reading import Item
from generator.strict_yaml import Location

_CONTAINERS = ("containers", "initContainers", "ephemeralContainers")
_PINNED = re.compile(r"[^@]+@sha256:[0-9a-f]{64}")
# What looks like pods there is somebody's text, or the form that others have to have.
_OTHERWISE = frozenset({"ConfigMap", "CustomResourceDefinition", "Secret"})


def of(item: Item) -> Iterator[tuple[Location, str]]:
    """Give each image and its place: of containers of all sorts, and of volumes, also in custom resources."""
    if item.kind not in _OTHERWISE:
        yield from _below(item.value, ())


def inside(value: Mapping[str, Any]) -> Iterator[str]:
    """Give the images of an object that is to be applied."""
    if value["kind"] not in _OTHERWISE:
        yield from (image for _, image in _below(value, ()))


def _below(value: Any, path: Location) -> Iterator[tuple[Location, str]]:
    if isinstance(value, list):
        for index, child in enumerate(value):
            yield from _below(child, (*path, index))
    if not isinstance(value, dict):
        return
    for key, child in value.items():
        here = (*path, key)
        if key in _CONTAINERS and isinstance(child, list):
            for index, one in enumerate(child):
                if isinstance(one, dict) and isinstance(one.get("image"), str):
                    yield (*here, index, "image"), one["image"]
        if key == "volumes" and isinstance(child, list):
            for index, one in enumerate(child):
                source = one.get("image") if isinstance(one, dict) else None
                if isinstance(source, dict) and isinstance(source.get("reference"), str):
                    yield (*here, index, "image", "reference"), source["reference"]
        yield from _below(child, here)


def is_pinned(image: str) -> bool:
    """Tell whether an image has its digest already."""
    return _PINNED.fullmatch(image) is not None


def full(image: str) -> str:
    """Write a reference in full, as a node reads it; without a tag it has none.

    >>> full("nginx:1.27"), full("me/book:2"), full("quay.io/a/b:3")
    ('docker.io/library/nginx:1.27', 'docker.io/me/book:2', 'quay.io/a/b:3')

    Source: https://github.com/distribution/reference (normalize.go)
    """
    first, slash, rest = image.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return f"docker.io/{rest}" if first == "index.docker.io" else image
    return f"docker.io/{image}" if slash else f"docker.io/library/{image}"


def kept_as(image: str) -> str:
    """Give the name by which the kubelet finds an image that has a digest: without the tag.

    >>> kept_as("registry.k8s.io/pause:3.10@sha256:0a"), kept_as("host:5000/a@sha256:0a")
    ('registry.k8s.io/pause@sha256:0a', 'host:5000/a@sha256:0a')

    Source: https://github.com/containerd/containerd, internal/cri/server/images (LocalResolve)
    """
    name, _, digest = image.partition("@")
    path, colon, tag = name.rpartition(":")
    return f"{path if colon and '/' not in tag else name}@{digest}"


def pinned(value: Mapping[str, Any], digests: Mapping[str, str]) -> dict[str, Any]:
    """Give an object with each image of a known digest as `<reference>@<digest>`."""
    places = dict(_below(value, ())) if value["kind"] not in _OTHERWISE else {}

    def copy(one: Any, here: Location) -> Any:
        if isinstance(one, dict):
            return {key: copy(child, (*here, key)) for key, child in one.items()}
        if isinstance(one, list):
            return [copy(child, (*here, index)) for index, child in enumerate(one)]
        if here in places and not is_pinned(one) and full(one) in digests:
            return f"{full(one)}@{digests[full(one)]}"
        return one

    return {key: copy(child, (key,)) for key, child in value.items()}
