"""Writes what a lock names as a bill of materials in the form of CycloneDX: the same lock, the same bytes."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, urlencode

from generator.release import lock_file
from generator.release.lock_file import Artifact, Image, Package, Release

SPECIFICATION = "1.6"
_NAMESPACE = uuid.UUID("6f1f5d0c-3f0e-5a0c-9c57-7c2f7a0e6b11")


def bill(release: Release) -> dict[str, Any]:
    """Give the bill of a lock: every binary, package and image, with version, digest and addresses.

    Source: https://cyclonedx.org/docs/1.6/json/ and https://github.com/package-url/purl-spec
    """
    content = hashlib.sha256(lock_file.dump(release).encode()).hexdigest()
    components = [
        *(_file(one, "application", _generic(one)) for one in release.artifacts),
        *(_file(one, "library", _debian(one)) for one in release.packages),
        *(_image(one) for one in release.images),
    ]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": SPECIFICATION,
        "serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, content)}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "platform",
                "bom-ref": "lock",
                "name": release.name,
                "version": release.kubernetes,
                "description": "Everything that runs on a node, but for the droplet's own image",
            }
        },
        "components": components,
        "dependencies": [{"ref": "lock", "dependsOn": [one["bom-ref"] for one in components]}],
    }


def _file(file: Artifact | Package, kind: str, purl: str) -> dict[str, Any]:
    return {
        "type": kind,
        "bom-ref": file.name,
        "name": file.name,
        "version": file.version,
        "hashes": _hashes([file.sha256]),
        "purl": purl,
        "externalReferences": [{"type": "distribution", "url": url} for url in file.urls],
    }


def _image(image: Image) -> dict[str, Any]:
    repository, _, tag = image.reference.rpartition(":")
    qualifiers = urlencode({"repository_url": repository, "tag": tag})
    version = f"@{quote(image.digest, safe='')}" if image.is_pinned else ""
    return {
        "type": "container",
        "bom-ref": f"image {image.name}",
        "name": repository,
        "version": tag,
        "hashes": _hashes([image.digest.partition(":")[2]] if image.is_pinned else []),
        "purl": f"pkg:oci/{repository.rpartition('/')[2]}{version}?{qualifiers}",
    }


def _generic(artifact: Artifact) -> str:
    qualifiers = urlencode({"checksum": f"sha256:{artifact.sha256}", "download_url": artifact.urls[0]})
    return f"pkg:generic/{artifact.name}@{quote(artifact.version, safe='')}?{qualifiers}"


def _debian(package: Package) -> str:
    return f"pkg:deb/debian/{quote(package.name, safe='')}@{quote(package.version, safe='')}?arch=amd64"


def _hashes(digests: Iterable[str]) -> list[dict[str, str]]:
    return [{"alg": "SHA-256", "content": digest} for digest in digests]
