"""Has everything at hand that a lab serves for a lock: its files by address, its images by registry, its own tools."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from generator.errors import Problem
from generator.lab.content import build, images, pull
from generator.lab.content.cache import Cache, link_or_copy
from generator.lab.content.fetch import Fetcher
from generator.lab.progress import Progress
from generator.release import registry
from generator.release.lock_file import Artifact, Image, Package, Release


@dataclass(frozen=True)
class Content:
    """What a lab serves.

    Args:
        files: every address of the lock, mirrors included, to the file it must answer with.
        registries: registry name as in references to the storage directory of its registry (distribution's
            `filesystem` driver, to be served read-only).
        tools: program name to the program: `versitygw`, `registry`, and every binary of the lock that is one file.
    """

    files: Mapping[str, Path]
    registries: Mapping[str, Path]
    tools: Mapping[str, Path]


def ensure(release: Release, *, progress: Progress, cache: Cache | None = None) -> Content:
    """Have all content of a lock: from the cache, else from its addresses.

    Raises:
        Problem: something is neither here nor to be had.
    """
    cache = cache or Cache.default()
    with cache.locked(progress):
        fetcher = Fetcher(cache, progress)
        files: tuple[Artifact | Package, ...] = (*release.artifacts, *release.packages)
        missing = [file.name for file in files if not fetcher.file(file.name, file.urls, file.sha256)]
        digests: dict[str, str] = {}
        for image in release.images:
            digest = _image(cache, fetcher, image)
            if digest is None:
                missing.append(image.reference)
            else:
                digests[image.name] = digest
        if missing:
            raise Problem(
                f"neither in the cache nor to be fetched: {', '.join(missing)}",
                where=f"release {release.name}",
                hint=f"`gen lab build` makes all of it from source, as the release `{build.made_name(release)}`",
            )
        single = {artifact.name: artifact.sha256 for artifact in release.artifacts if tuple(artifact.install) == ("",)}
        tools = single | dict(build.tools(progress, cache=cache))
        return Content(
            files={url: cache.blob(file.sha256) for file in files for url in file.urls},
            registries=_registries(cache, release, digests),
            tools={name: _program(cache, name, digest) for name, digest in tools.items()},
        )


def _image(cache: Cache, fetcher: Fetcher, image: Image) -> str | None:
    if image.is_pinned and images.parts(cache, image.digest) is not None:
        return image.digest
    fetcher.progress.step(image.name, f"pull {image.reference}")
    try:
        return pull.pull(cache, fetcher, image.reference, image.digest if image.is_pinned else None)
    except Problem as problem:
        fetcher.progress.step(image.name, problem.message)
        return None


def _registries(cache: Cache, release: Release, digests: Mapping[str, str]) -> Mapping[str, Path]:
    """Lay out one storage directory per registry; a set of images always has the same place and is made once."""
    rows = sorted(f"{image.reference}@{digests[image.name]}" for image in release.images)
    root = cache.directory / "registries" / hashlib.sha256("\n".join(rows).encode()).hexdigest()[:16]
    if not root.is_dir():
        with cache.workspace("registries") as work:
            for image in release.images:
                host, repository, tag = registry.split(image.reference)
                images.lay_out(cache, work / "new" / host, repository, tag, digests[image.name])
            root.parent.mkdir(exist_ok=True)
            (work / "new").rename(root)
    return {registry.split(image.reference)[0]: root / registry.split(image.reference)[0] for image in release.images}


def _program(cache: Cache, name: str, digest: str) -> Path:
    """Give a program of the cache a place where it has its name, as it shows in process lists."""
    place = cache.directory / "tools" / digest[:16] / name
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        link_or_copy(cache.blob(digest), place)
    return place
