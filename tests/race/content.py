"""Builds kubeadm and the images it runs: the release's own binaries, under the names that it asks registries for."""

from __future__ import annotations

import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from generator.files import write_atomic
from generator.lab.content import recipes
from generator.lab.content.golang import GoRecipe
from generator.lab.content.images import Settings
from generator.release import lock_file
from generator.release.lock_file import Artifact, Image, Release
from tests.images import Maker, Recipe

SOURCE = Path(__file__).parent / "source"
REGISTRY = "registry.k8s.io"
# What is a unit on hardway's nodes is a static pod, or a DaemonSet's, on kubeadm's.
COMPONENTS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy")
PACKAGES: Mapping[str, tuple[str, ...]] = {"kube-proxy": ("nftables",)}
"""What the upstream image of a component holds beside the binary, and it calls."""
PATH = "/usr/local/bin:/usr/sbin:/usr/bin"


@dataclass(frozen=True)
class Made:
    """What kubeadm's side has beside the release."""

    kubeadm: Artifact
    images: tuple[Image, ...]


def recipe(version: str) -> GoRecipe:
    """kubeadm, built as the rest of Kubernetes is."""
    package = "k8s.io/kubernetes/cmd/kubeadm"
    return replace(recipes.kubernetes(version), name="kubeadm", packages={"kubeadm": package}, own=SOURCE)


def etcd_tag(release: Release) -> str:
    """Give the tag under which upstream has the release's etcd as an image."""
    return f"{release.artifact('etcd').version.removeprefix('v')}-0"


def make(maker: Maker, release: Release) -> Made:
    """Build what is missing.

    Args:
        release: a lock whose files are in the cache.

    Raises:
        Problem: something was never built, and cannot be now.
    """
    version = release.kubernetes
    digest = maker.programs(recipe(version))["kubeadm"]
    url = release.artifact("kubectl").urls[0].rpartition("/")[0] + "/kubeadm"
    kubeadm = Artifact("kubeadm", version, ("control-plane",), (url,), digest, {"": "/usr/local/bin/kubeadm"})
    binaries = {f"{name}:{version}": release.artifact(name).sha256 for name in COMPONENTS}
    binaries[f"etcd:{etcd_tag(release)}"] = _etcd(maker, release)
    return Made(kubeadm, tuple(_image(maker, reference, sha) for reference, sha in binaries.items()))


def bring(directory: Path, release: Release, made: Made) -> None:
    """Put it into the lock beside a description, so that the lab's download host and registries serve it."""
    lock = replace(release, artifacts=(*release.artifacts, made.kubeadm), images=(*release.images, *made.images))
    write_atomic(directory / lock_file.OWN / f"{release.name}.yaml", lock_file.dump(lock).encode())


def _image(maker: Maker, reference: str, sha256: str) -> Image:
    name = reference.partition(":")[0]
    settings = Settings([f"/usr/local/bin/{name}"], "0:0", environment={"PATH": PATH})
    programs = {f"usr/local/bin/{name}": sha256}
    return maker.image(Recipe(name, f"{REGISTRY}/{reference}", PACKAGES.get(name, ()), programs, settings))


def _etcd(maker: Maker, release: Release) -> str:
    """Take the server out of the release's archive, as the nodes of the other side do."""
    artifact, cache = release.artifact("etcd"), maker.cache
    (member,) = (name for name, path in artifact.install.items() if path.endswith("/etcd"))
    with cache.locked(maker.progress), cache.workspace("etcd") as work:
        with tarfile.open(cache.blob(artifact.sha256)) as archive:
            (work / "etcd").write_bytes(cast("tarfile.ExFileObject", archive.extractfile(member)).read())
        return cache.adopt(work / "etcd")
