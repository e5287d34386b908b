"""The made lock is upstream's in everything but digests, and what the cache holds for it is laid out as it says."""

from __future__ import annotations

import io
import re
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from generator.lab.content import build, recipes, served
from generator.lab.content.cache import Cache, file_sha256, recipe_key
from generator.lab.content.golang import Go
from generator.release import lock_file, registry
from generator.release.lock_file import Artifact, Release
from tests import archives
from tests.silent import Silent


@pytest.fixture(scope="module")
def upstream() -> Release:
    return lock_file.load("k8s-1.36", Path("/nonexistent"))


@pytest.fixture(scope="module")
def made(upstream: Release) -> Release:
    """The lock built from source; minutes of work once, then seconds from the cache."""
    cache = Cache.default()
    if cache.result(recipe_key(recipes.kubernetes(upstream.kubernetes).inputs(Go.find().version))) is None:
        pytest.skip("not built yet: `gen lab build`")
    return build.build(upstream, Silent())


def test_it_reads_back_as_it_was_written(made: Release) -> None:
    assert lock_file.parse(lock_file.dump(made), "made") == made


def test_only_digests_differ(upstream: Release, made: Release) -> None:
    assert made.name == f"{upstream.name}-source"
    assert made.kubernetes == upstream.kubernetes
    same = ("name", "version", "roles", "urls", "install")
    assert [[getattr(one, key) for key in same] for one in made.artifacts] == [
        [getattr(one, key) for key in same] for one in upstream.artifacts
    ]
    assert [(one.name, one.reference) for one in made.images] == [(one.name, one.reference) for one in upstream.images]


def test_packages_are_the_same_to_the_byte_unless_debian_replaced_them(upstream: Release, made: Release) -> None:
    there = {package.name: package for package in upstream.packages}
    for package in made.packages:
        if package.name in there and package.version == there[package.name].version:
            assert package.sha256 == there[package.name].sha256
    assert {"nftables", "wireguard-tools", "haproxy"} <= {package.name for package in made.packages}


def test_every_address_is_https_and_every_digest_a_sha256(upstream: Release, made: Release) -> None:
    for lock in (upstream, made):
        for file in (*lock.artifacts, *lock.packages):
            assert re.fullmatch(r"[0-9a-f]{64}", file.sha256)
            for url in file.urls:
                assert urlsplit(url).scheme == "https"
                assert not urlsplit(url).query


def test_packages_are_asked_of_the_mirror_and_then_of_the_archive_that_keeps_all(upstream: Release) -> None:
    for package in upstream.packages:
        assert [urlsplit(url).hostname for url in package.urls] == ["deb.debian.org", "snapshot.debian.org"]
        assert package.urls[0].rpartition("/pool/")[2] == package.urls[1].rpartition("/pool/")[2]


def test_a_made_lock_has_no_unpinned_image(made: Release) -> None:
    assert made.unpinned == ()


def test_the_cache_has_what_the_made_lock_names(made: Release) -> None:
    content = served.ensure(made, progress=Silent())
    for file in (*made.artifacts, *made.packages):
        for url in file.urls:
            assert file_sha256(content.files[url]) == file.sha256
        if isinstance(file, Artifact) and "" not in file.install:
            assert set(file.install) <= archives.files(content.files[file.urls[0]])
    for image in made.images:
        host, repository, tag = registry.split(image.reference)
        root = content.registries[host] / "docker/registry/v2"
        assert (
            root / "repositories" / repository / "_manifests/tags" / tag / "current/link"
        ).read_text() == image.digest
    assert {"versitygw", "registry", "kubectl"} <= set(content.tools)


@pytest.mark.parametrize(
    ("program", "arguments"),
    [
        ("kubelet", ["--version"]),
        ("kube-apiserver", ["--version"]),
        ("kubectl", ["version", "--client"]),
        ("runc", ["--version"]),
    ],
)
def test_programs_say_the_version_of_the_lock(made: Release, program: str, arguments: list[str]) -> None:
    path = served.ensure(made, progress=Silent()).tools[program]
    answer = subprocess.run([path, *arguments], capture_output=True, text=True, check=True)
    assert made.artifact(program).version.removeprefix("v") in answer.stdout


def test_packages_hold_the_programs_that_documents_call(made: Release) -> None:
    content = served.ensure(made, progress=Silent())
    listed = io.StringIO()
    for package in made.packages:
        command = ["dpkg-deb", "--contents", str(content.files[package.urls[0]])]
        listed.write(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    for program in ("./usr/sbin/nft", "./usr/bin/wg", "./usr/sbin/haproxy"):
        assert re.search(rf" {re.escape(program)}$", listed.getvalue(), re.MULTILINE), program
