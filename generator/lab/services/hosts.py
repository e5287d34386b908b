"""Knows the host names that the lab answers for, by their real names, and what each of them is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from generator.catalogue import SPACES_REGIONS
from generator.lab.account.requests import API_HOST

SPACES_DOMAIN = "digitaloceanspaces.com"
TOKEN_HOST = "auth.docker.io"  # noqa: S105 - a host's name


@dataclass(frozen=True)
class Registry:
    """A container registry: the names it has, and the host it sends clients to for blobs."""

    name: str
    hosts: tuple[str, ...]
    blob_host: str | None = None
    blob_path: str = ""
    needs_token: bool = False


REGISTRIES = (
    Registry(
        name="docker.io",
        hosts=("registry-1.docker.io", "index.docker.io", "docker.io"),
        blob_host="production.cloudflare.docker.com",
        blob_path="/registry-v2/docker/registry/v2/blobs/",
        needs_token=True,
    ),
    Registry(
        name="registry.k8s.io",
        hosts=("registry.k8s.io",),
        blob_host="prod-registry-k8s-io-eu-central-1.s3.dualstack.eu-central-1.amazonaws.com",
        blob_path="/containers/images/",
    ),
    Registry(name="quay.io", hosts=("quay.io",)),
    Registry(name="ghcr.io", hosts=("ghcr.io",)),
)
"""Source: observed behaviour of the public registries; registry.k8s.io documents its redirects in
https://github.com/kubernetes/registry.k8s.io/blob/main/cmd/archeio/docs/request-handling.md"""

DOWNLOAD_REDIRECTS = {
    "dl.k8s.io": ("cdn.dl.k8s.io", ""),
    "github.com": ("release-assets.githubusercontent.com", "/github-production-release-asset"),
}
"""Hosts that send a download on to another one, and the prefix it has there."""


@dataclass(frozen=True)
class Hosts:
    """All names of one lab; `downloads` are the hosts that files come from."""

    downloads: tuple[str, ...]

    @classmethod
    def of(cls, hosts: Iterable[str]) -> Hosts:
        """Sort a lock's hosts: registries and the provider are known, all others serve files."""
        others = {host for registry in REGISTRIES for host in (*registry.hosts, registry.blob_host)}
        return cls(tuple(sorted({host for host in hosts if host not in others and host != API_HOST})))

    @property
    def exact(self) -> tuple[str, ...]:
        """Names that stand for themselves alone."""
        names = {API_HOST, TOKEN_HOST, *self.downloads, *spaces_hosts()}
        names |= {DOWNLOAD_REDIRECTS[host][0] for host in self.downloads if host in DOWNLOAD_REDIRECTS}
        for registry in REGISTRIES:
            names |= {*registry.hosts, *([registry.blob_host] if registry.blob_host else [])}
        return tuple(sorted(names))

    @property
    def parents(self) -> tuple[str, ...]:
        """Names whose direct subdomains are served too: the Spaces regions, for their buckets."""
        return spaces_hosts()

    def is_known(self, name: str) -> bool:
        """Say whether the lab answers for a name."""
        host = name.lower().removesuffix(".")
        return host in self.exact or host.partition(".")[2] in self.parents

    @property
    def certificate_names(self) -> tuple[str, ...]:
        """Give the names for the server certificate."""
        return (*self.exact, *(f"*.{parent}" for parent in self.parents))


def spaces_host(region: str) -> str:
    """Name the endpoint of a region's Spaces."""
    return f"{region}.{SPACES_DOMAIN}"


def spaces_hosts() -> tuple[str, ...]:
    """Name the endpoints of all regions that have Spaces."""
    return tuple(spaces_host(region) for region in SPACES_REGIONS)
