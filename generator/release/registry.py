"""Asks a registry, as anybody may, what the tag of an image means."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import urllib3

from generator import bounded, deadline
from generator.errors import Problem
from generator.release import proxied

# Docker Hub's registry has another name than its images' references.
HOSTS = {"docker.io": "registry-1.docker.io"}
TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
LIMIT_BYTES, LIMIT_SECONDS = 4 << 20, 60.0
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
TOO_MANY = 429
"""Source: https://distribution.github.io/distribution/spec/api/#errors-2"""
# Source: https://docs.docker.com/docker-hub/usage/
_LATER = "what is asked without logging in counts by address, on docker.io for hours: ask later, or from another one"
_PRIVATE = "is the image private, or is its name wrong?"


class Unreachable(Problem):
    """A registry, or who hands out its tokens, does not answer at all."""


class Limited(Unreachable):
    """A registry has answered so often that it answers no more for now."""


@dataclass(frozen=True)
class Manifest:
    """What a tag or a digest stands for, byte for byte: one image, or an index of images for several platforms."""

    digest: str
    content: bytes

    @property
    def document(self) -> Mapping[str, Any]:
        """The content, read."""
        return dict(json.loads(self.content))

    @property
    def droplets(self) -> str | None:
        """The digest of the image that droplets run (linux/amd64), or `None` where there is none."""
        if "manifests" not in self.document:
            return self.digest
        return next((str(entry["digest"]) for entry in self.document["manifests"] if _is_droplets(entry)), None)


@dataclass(frozen=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    data: bytes


@dataclass
class Repository:
    """One image's place in its registry; a token that the registry wants is kept for the next question."""

    reference: str
    pool: urllib3.PoolManager
    scheme: str = "https"
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def host(self) -> str:
        """The registry's own name, with its port if it has one."""
        name = split(self.reference)[0]
        return HOSTS.get(name, name)

    @property
    def url(self) -> str:
        """The repository's address."""
        return f"{self.scheme}://{self.host}/v2/{split(self.reference)[1]}"

    def manifest(self, name: str) -> Manifest:
        """Read a manifest by tag or digest.

        Source: https://distribution.github.io/distribution/spec/api/#pulling-an-image-manifest

        Raises:
            Unreachable: nobody answers.
            Limited: its rate limit is used up.
            Problem: the registry does not have it, or sends something else.
        """
        address, accept = f"{self.url}/manifests/{name}", {"Accept": ", ".join(TYPES)}
        answer = self._get(address, accept)
        if answer.status == 401:
            self._authorize(answer.headers.get("WWW-Authenticate", ""))
            answer = self._get(address, accept)
        if answer.status != 200:
            hint = _PRIVATE if answer.status in (401, 403, 404) else None
            raise Problem(f"the registry answered {answer.status}", where=self.reference, hint=hint)
        digest = f"sha256:{hashlib.sha256(answer.data).hexdigest()}"
        for promised in (name, answer.headers.get("Docker-Content-Digest", "")):
            if promised.startswith("sha256:") and promised != digest:
                raise Problem(f"the registry sent {digest} for {promised}", where=self.reference)
        if not _is_manifest(answer.data):
            raise Problem("what the registry sent is no manifest", where=self.reference)
        return Manifest(digest, answer.data)

    def _authorize(self, challenge: str) -> None:
        """Get the token that a registry wants even of anybody.

        Source: https://distribution.github.io/distribution/spec/auth/token/
        """
        facts = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
        if "realm" not in facts:
            raise Problem("the registry asks for credentials", where=self.reference, hint=_PRIVATE)
        if not facts["realm"].startswith(f"{self.scheme}://"):
            raise Problem("the registry hands out its tokens over plain http", where=self.reference)
        query = {key: facts[key] for key in ("service", "scope") if key in facts}
        answer = self._get(facts["realm"], {}, query)
        if answer.status != 200:
            raise Problem(f"no token for anybody: {answer.status}", where=self.reference, hint=_PRIVATE)
        try:
            content = bounded.parse_json(answer.data)
            token = content.get("token") or content["access_token"]
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise Problem("what should hold a token does not", where=self.reference) from error
        if not isinstance(token, str) or not re.fullmatch(r"[ -~]{1,65536}", token):
            raise Problem("what should be a token is none", where=self.reference)
        self.headers = {"Authorization": f"Bearer {token}"}

    def _get(self, url: str, headers: Mapping[str, str], query: Mapping[str, str] | None = None) -> _Answer:
        try:
            sent = {**headers, **self.headers}
            with deadline.within(LIMIT_SECONDS):
                answer = self.pool.request("GET", url, fields=query, headers=sent, preload_content=False)
                try:
                    data = bounded.read(answer.read1, limit_bytes=LIMIT_BYTES, seconds=LIMIT_SECONDS)
                finally:
                    answer.close()
        except bounded.TooMuch as error:
            raise Problem(f"what the registry sent is {error}", where=self.reference) from error
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            hint = proxied.hint(self.pool, urlsplit(url).netloc)
            raise Unreachable("the registry cannot be reached", where=self.reference, hint=hint) from error
        if answer.status == TOO_MANY or (answer.status != 200 and b"TOOMANYREQUESTS" in data):
            message = f"the registry answers no more for now: its rate limit is used up ({answer.status})"
            raise Limited(message, where=self.reference, hint=_LATER)
        return _Answer(answer.status, answer.headers, data)


def pool() -> urllib3.PoolManager:
    """Give a client that waits seconds for a registry, not minutes, and follows it to where it keeps things.

    It goes through the proxy that the environment names.

    Raises:
        Problem: that is no address.
    """
    retries = urllib3.Retry(5, connect=0, read=0, other=0, respect_retry_after_header=False)
    timeout = urllib3.Timeout(connect=5, read=10)
    return proxied.manager(timeout=timeout, retries=retries, ssl_context=deadline.context())


def split(reference: str) -> tuple[str, str, str]:
    """Take a reference apart into registry, repository and tag.

    >>> split("docker.io/library/postgres:17")
    ('docker.io', 'library/postgres', '17')
    """
    host, _, rest = reference.partition("/")
    repository, _, tag = rest.rpartition(":")
    return host, repository, tag


def _is_manifest(content: bytes) -> bool:
    try:
        value = bounded.parse_json(content)
    except ValueError:
        return False
    if not isinstance(value, dict):
        return False
    if "manifests" in value:
        return isinstance(value["manifests"], list) and all(isinstance(one, dict) for one in value["manifests"])
    return {"config", "layers"} <= value.keys()


def _is_droplets(entry: Mapping[str, Any]) -> bool:
    platform = entry.get("platform")
    if not isinstance(platform, dict) or not _DIGEST.fullmatch(str(entry.get("digest"))):
        return False
    return (platform.get("os"), platform.get("architecture")) == ("linux", "amd64")
