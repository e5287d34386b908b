"""Writes OCI images without a daemon, and lays them out as a registry's storage: same content, same digests."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from generator.errors import Problem
from generator.lab.content import archive
from generator.lab.content.archive import Member
from generator.lab.content.cache import Cache, link_or_copy

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
# Not compressed: nodes are beside the registry, and unpacking costs them more than receiving.
LAYER = "application/vnd.oci.image.layer.v1.tar"


@dataclass(frozen=True)
class Settings:
    """How a container of the image runs when its pod says nothing else."""

    entrypoint: Sequence[str]
    user: str
    command: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    directory: str = "/"
    ports: Sequence[int] = ()
    stop_signal: str = "SIGTERM"


def make(cache: Cache, name: str, members: Iterable[Member], settings: Settings) -> str:
    """Make an image of one layer, put it into the cache and give its manifest's digest (`sha256:…`)."""
    with cache.workspace(name) as work:
        archive.write(work / "layer.tar", members, gzip=False)
        size = (work / "layer.tar").stat().st_size
        layer = cache.adopt(work / "layer.tar")
    config = _document(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {
                "Entrypoint": list(settings.entrypoint),
                "Cmd": list(settings.command),
                "User": settings.user,
                "WorkingDir": settings.directory,
                "Env": [f"{key}={value}" for key, value in sorted(settings.environment.items())],
                "StopSignal": settings.stop_signal,
                "ExposedPorts": {f"{port}/tcp": {} for port in settings.ports},
            },
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer}"]},
        }
    )
    manifest = _document(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "digest": f"sha256:{cache.add(config)}", "size": len(config)},
            "layers": [{"mediaType": LAYER, "digest": f"sha256:{layer}", "size": size}],
        }
    )
    return f"sha256:{cache.add(manifest)}"


@dataclass(frozen=True)
class Parts:
    """The digests of all that an image is made of."""

    manifests: tuple[str, ...]
    blobs: tuple[str, ...]


def parts(cache: Cache, digest: str) -> Parts | None:
    """List an image's parts, or give `None` when one is not in the cache.

    Of an index for several platforms those images count that are here, which must be one at least.
    """
    if not cache.has(_hex(digest)):
        return None
    document = json.loads(cache.blob(_hex(digest)).read_bytes())
    if "manifests" in document:
        found = [one for entry in document["manifests"] if (one := parts(cache, entry["digest"])) is not None]
        manifests = tuple(manifest for one in found for manifest in one.manifests)
        return Parts((*manifests, digest), tuple(blob for one in found for blob in one.blobs)) if found else None
    needed = (document["config"]["digest"], *(layer["digest"] for layer in document["layers"]))
    return Parts((digest,), needed) if all(cache.has(_hex(blob)) for blob in needed) else None


def lay_out(cache: Cache, root: Path, repository: str, tag: str, digest: str) -> None:
    """Add an image to the storage directory of a registry (the `filesystem` driver of distribution).

    Content is linked, not copied, where the file system allows it.

    Raises:
        Problem: the image is not whole in the cache.
    """
    found = parts(cache, digest)
    if found is None:
        raise Problem(f"the image {digest} is not in the cache", where=f"{repository}:{tag}", hint="gen lab build")
    storage = root / "docker/registry/v2"
    place = storage / "repositories" / repository
    for part in {*found.manifests, *found.blobs}:
        blob = storage / "blobs/sha256" / _hex(part)[:2] / _hex(part) / "data"
        if not blob.exists():
            blob.parent.mkdir(parents=True, exist_ok=True)
            link_or_copy(cache.blob(_hex(part)), blob)
    for part in found.manifests:
        _point(place / "_manifests/revisions/sha256" / _hex(part), part)
    for part in found.blobs:
        _point(place / "_layers/sha256" / _hex(part), part)
    _point(place / "_manifests/tags" / tag / "current", digest)
    _point(place / "_manifests/tags" / tag / "index/sha256" / _hex(digest), digest)


def _point(directory: Path, digest: str) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "link").write_text(digest)


def _hex(digest: str) -> str:
    return digest.removeprefix("sha256:")


def _document(value: Mapping[str, object]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
