"""Fills a lock's unpinned images with the digests that their tags mean now."""

from __future__ import annotations

from dataclasses import replace

import urllib3

from generator.errors import Problem, raise_all
from generator.release import registry
from generator.release.lock_file import Image, Release
from generator.release.registry import Repository, Unreachable


def pin(release: Release, pool: urllib3.PoolManager) -> Release:
    """Give a lock in which every image has its digest: of an image for several platforms that of the index.

    Each registry that does not answer is asked once.

    Raises:
        Problems: for every image whose digest cannot be had, why.
    """
    problems: list[Problem] = []
    unreachable: set[str] = set()
    images = []
    for image in release.images:
        try:
            images.append(image if image.is_pinned else _pinned(image, pool, unreachable))
        except Problem as problem:
            problems.append(problem)
    raise_all(problems)
    return replace(release, images=tuple(images))


def _pinned(image: Image, pool: urllib3.PoolManager, unreachable: set[str]) -> Image:
    repository = Repository(image.reference, pool)
    if repository.host in unreachable:
        raise Unreachable("the registry cannot be reached", where=image.reference)
    try:
        manifest = repository.manifest(registry.split(image.reference)[2])
    except Unreachable:
        unreachable.add(repository.host)
        raise
    if manifest.droplets is None:
        raise Problem("the image is not made for linux/amd64", where=image.reference)
    return replace(image, digest=manifest.digest)
