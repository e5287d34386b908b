"""Pulls images from a registry into the cache: the one platform of droplets, every part checked by its digest."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import urllib3

from generator.errors import Problem
from generator.lab import images
from generator.lab.cache import Cache
from generator.lab.fetch import Fetcher

# Docker Hub's registry has another name than its images' references.
HOSTS = {"docker.io": "registry-1.docker.io"}
TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
LIMIT_BYTES = 4 << 20


def pull(cache: Cache, fetcher: Fetcher, reference: str, digest: str | None, *, scheme: str = "https") -> str:
    """Have an image in the cache and give its digest; without a digest it is what the tag means now.

    Raises:
        Problem: the registry does not answer, does not have it, or sends something else.
    """
    host, repository, tag = images.split(reference)
    source = _Repository(fetcher, f"{scheme}://{HOSTS.get(host, host)}/v2/{repository}")
    found, manifest = source.manifest(digest or tag, reference)
    if digest not in (None, found):
        raise Problem(f"the registry sent {found} for {digest}", where=reference)
    if "manifests" in manifest:
        child = next((entry["digest"] for entry in manifest["manifests"] if _is_droplets(entry)), None)
        if child is None:
            raise Problem("the image is not made for linux/amd64", where=reference)
        manifest = source.manifest(child, reference)[1]
    for part in (manifest["config"], *manifest["layers"]):
        source.blob(part["digest"], reference)
    if images.parts(cache, found) is None:
        raise Problem(f"the image {found} is not whole", where=reference)
    return found


@dataclass
class _Repository:
    fetcher: Fetcher
    url: str
    headers: dict[str, str] = field(default_factory=dict)

    def manifest(self, name: str, reference: str) -> tuple[str, Mapping[str, Any]]:
        """Read a manifest by tag or digest into the cache; its digest and its content."""
        answer = self._get(f"{self.url}/manifests/{name}", {"Accept": ", ".join(TYPES)}, reference)
        if answer.status == 401:
            self._authorize(answer.headers.get("WWW-Authenticate", ""), reference)
            answer = self._get(f"{self.url}/manifests/{name}", {"Accept": ", ".join(TYPES)}, reference)
        if answer.status != 200 or len(answer.data) > LIMIT_BYTES:
            raise Problem(f"the registry answered {answer.status}", where=reference)
        found = f"sha256:{self.fetcher.cache.add(answer.data)}"
        if name.startswith("sha256:") and name != found:
            raise Problem(f"the registry sent {found} for {name}", where=reference)
        return found, json.loads(answer.data)

    def blob(self, digest: str, reference: str) -> None:
        """Have a layer or a configuration in the cache."""
        plain = digest.removeprefix("sha256:")
        if not self.fetcher.file(reference, [f"{self.url}/blobs/{digest}"], plain, headers=self.headers):
            raise Problem(f"{digest} cannot be fetched", where=reference)

    def _authorize(self, challenge: str, reference: str) -> None:
        """Get the token that a registry wants even of anybody."""
        facts = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
        if "realm" not in facts:
            raise Problem("the registry asks for credentials", where=reference)
        query = {key: facts[key] for key in ("service", "scope") if key in facts}
        answer = self._get(facts["realm"], {}, reference, query)
        if answer.status != 200:
            raise Problem(f"no token for anybody: {answer.status}", where=reference, hint="is the repository private?")
        content = json.loads(answer.data)
        self.headers = {"Authorization": f"Bearer {content.get('token') or content['access_token']}"}

    def _get(
        self, url: str, headers: Mapping[str, str], reference: str, query: Mapping[str, str] | None = None
    ) -> urllib3.BaseHTTPResponse:
        try:
            return self.fetcher.pool.request("GET", url, fields=query, headers={**headers, **self.headers})
        except urllib3.exceptions.HTTPError as error:
            raise Problem("the registry cannot be reached", where=reference) from error


def _is_droplets(entry: Mapping[str, Any]) -> bool:
    platform = entry.get("platform", {})
    return (platform.get("os"), platform.get("architecture")) == ("linux", "amd64")
