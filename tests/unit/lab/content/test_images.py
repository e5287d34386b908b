"""Images and archives: the same content gives the same digest, whatever the clock, the disk and the order say."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from generator.errors import Problem
from generator.lab.content import archive, images
from generator.lab.content.archive import Member
from generator.lab.content.cache import Cache
from generator.lab.content.images import Settings
from tests import archives

SETTINGS = Settings(["/program"], "65532:65532", command=["serve"], environment={"B": "2", "A": "1"}, ports=[80])


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def members(directory: Path) -> list[Member]:
    directory.mkdir(parents=True)
    program = directory / "program"
    program.write_bytes(b"\x7fELF" * 100)
    return [
        Member("usr/bin/program", program),
        Member("etc/config", b"text\n", mode=0o644),
        Member("tmp", mode=0o1777),
        Member("bin", link="usr/bin"),
        Member("data", mode=0o700, owner=999),
    ]


@pytest.mark.parametrize("compress", [True, False])
def test_an_archive_depends_on_nothing_but_its_members(tmp_path: Path, compress: bool) -> None:
    first = members(tmp_path / "one")
    archive.write(tmp_path / "first", first, gzip=compress)
    second = list(reversed(members(tmp_path / "two")))
    os.utime(tmp_path / "two" / "program", (1, 1))
    (tmp_path / "two" / "program").chmod(0o600)
    archive.write(tmp_path / "second", second, gzip=compress)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()
    changed = [replace(first[0], mode=0o700), *first[1:]]
    archive.write(tmp_path / "changed", changed, gzip=compress)
    assert (tmp_path / "first").read_bytes() != (tmp_path / "changed").read_bytes()


def test_an_archive_reads_back_as_it_was_meant(tmp_path: Path) -> None:
    archive.write(tmp_path / "archive", members(tmp_path / "in"), gzip=True)
    assert gzip.decompress((tmp_path / "archive").read_bytes())
    with tarfile.open(tmp_path / "archive") as opened:
        found = {entry.name: entry for entry in opened}
        content = opened.extractfile("usr/bin/program")
        assert content is not None
        assert content.read() == b"\x7fELF" * 100
    assert sorted(found) == ["bin", "data", "etc", "etc/config", "tmp", "usr", "usr/bin", "usr/bin/program"]
    assert found["tmp"].mode == 0o1777
    assert (found["data"].uid, found["data"].gid, found["data"].mode) == (999, 999, 0o700)
    assert found["bin"].linkname == "usr/bin"
    assert {entry.mtime for entry in found.values()} == {0}
    assert archives.files(tmp_path / "archive") == {"etc/config", "usr/bin/program"}


def test_members_keep_the_names_of_the_lock(tmp_path: Path) -> None:
    archive.write(tmp_path / "archive", [Member("./bridge", b"x"), Member("bin/ctr", b"y")], gzip=True)
    assert archives.files(tmp_path / "archive") == {"./bridge", "bin/ctr"}


def test_the_same_image_has_the_same_digest(cache: Cache, tmp_path: Path) -> None:
    one = images.make(cache, "one", members(tmp_path / "one"), SETTINGS)
    other = Cache(tmp_path / "other")
    assert images.make(other, "two", reversed(members(tmp_path / "two")), SETTINGS) == one
    assert images.make(cache, "user", members(tmp_path / "three"), replace(SETTINGS, user="0:0")) != one


def test_an_image_names_its_parts_truly(cache: Cache, tmp_path: Path) -> None:
    digest = images.make(cache, "test", members(tmp_path / "in"), SETTINGS)
    parts = images.parts(cache, digest)
    assert parts is not None
    assert parts.manifests == (digest,)
    manifest = json.loads(cache.blob(digest.removeprefix("sha256:")).read_bytes())
    for part in (manifest["config"], *manifest["layers"]):
        content = cache.blob(part["digest"].removeprefix("sha256:")).read_bytes()
        assert part["digest"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
        assert part["size"] == len(content)
    config = json.loads(cache.blob(manifest["config"]["digest"].removeprefix("sha256:")).read_bytes())
    assert (config["os"], config["architecture"]) == ("linux", "amd64")
    assert config["config"]["Env"] == ["A=1", "B=2"]
    # the layer is not compressed, so what containerd unpacks is what the manifest names
    assert config["rootfs"]["diff_ids"] == [layer["digest"] for layer in manifest["layers"]]


def test_an_image_that_lost_a_part_is_none(cache: Cache, tmp_path: Path) -> None:
    digest = images.make(cache, "test", members(tmp_path / "in"), SETTINGS)
    parts = images.parts(cache, digest)
    assert parts is not None
    cache.blob(parts.blobs[0].removeprefix("sha256:")).unlink()
    assert images.parts(cache, digest) is None
    with pytest.raises(Problem, match="not in the cache"):
        images.lay_out(cache, tmp_path / "storage", "library/test", "1", digest)


def test_of_an_index_one_platform_is_enough(cache: Cache, tmp_path: Path) -> None:
    digest = images.make(cache, "test", members(tmp_path / "in"), SETTINGS)
    absent = "sha256:" + "0" * 64
    index = json.dumps({"schemaVersion": 2, "manifests": [{"digest": absent}, {"digest": digest}]}).encode()
    found = images.parts(cache, f"sha256:{cache.add(index)}")
    assert found is not None
    assert found.manifests == (digest, f"sha256:{hashlib.sha256(index).hexdigest()}")
    alone = json.dumps({"schemaVersion": 2, "manifests": [{"digest": absent}]}).encode()
    assert images.parts(cache, f"sha256:{cache.add(alone)}") is None


def test_storage_has_every_part_and_a_tag(cache: Cache, tmp_path: Path) -> None:
    digest = images.make(cache, "test", members(tmp_path / "in"), SETTINGS)
    images.lay_out(cache, tmp_path / "storage", "library/test", "1.0", digest)
    root = tmp_path / "storage/docker/registry/v2"
    for data in root.glob("blobs/sha256/*/*/data"):
        assert hashlib.sha256(data.read_bytes()).hexdigest() == data.parent.name
        assert data.parent.parent.name == data.parent.name[:2]
    assert len(list(root.glob("blobs/sha256/*/*/data"))) == 3
    tag = root / "repositories/library/test/_manifests/tags/1.0/current/link"
    assert tag.read_text() == digest
