"""Pulls images from a registry into the cache: the one platform of droplets, every part checked by its digest."""

from __future__ import annotations

from generator.errors import Problem
from generator.lab.content import images
from generator.lab.content.cache import Cache
from generator.lab.content.fetch import Fetcher
from generator.release.registry import Repository, Unreachable, split


def pull(cache: Cache, fetcher: Fetcher, reference: str, digest: str | None, *, scheme: str = "https") -> str:
    """Have an image in the cache and give its digest; without a digest it is what the tag means now.

    Raises:
        Unreachable: the registry does not answer.
        Problem: it does not have it, or sends something else.
    """
    source = Repository(reference, fetcher.impatient, scheme)
    if not fetcher.reaches(source.url):
        raise Unreachable("the registry cannot be reached", where=reference)
    try:
        found = source.manifest(digest or split(reference)[2])
    except Unreachable:
        fetcher.lose(source.host)
        raise
    if found.droplets is None:
        raise Problem("the image is not made for linux/amd64", where=reference)
    image = found if found.droplets == found.digest else source.manifest(found.droplets)
    for part in (image.document["config"], *image.document["layers"]):
        _blob(fetcher, source, part["digest"])
    for manifest in (image, found):
        cache.add(manifest.content)
    if images.parts(cache, found.digest) is None:
        raise Problem(f"the image {found.digest} is not whole", where=reference)
    return found.digest


def _blob(fetcher: Fetcher, source: Repository, digest: str) -> None:
    """Have a layer or a configuration in the cache."""
    plain = digest.removeprefix("sha256:")
    if not fetcher.file(source.reference, [f"{source.url}/blobs/{digest}"], plain, headers=source.headers):
        raise Problem(f"{digest} cannot be fetched", where=source.reference)
