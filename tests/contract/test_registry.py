"""A real registry serves the storage that is laid out for it, and images pulled from it are the same to the byte."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from generator.errors import Problem
from generator.lab.content import build, images, pull, recipes
from generator.lab.content.archive import Member
from generator.lab.content.cache import Cache, recipe_key
from generator.lab.content.fetch import Fetcher
from generator.lab.content.golang import Go
from generator.lab.content.images import Settings
from generator.release import registry
from tests.silent import Silent

CONFIG = """\
version: 0.1
log: {{level: error}}
storage:
  filesystem: {{rootdirectory: {storage}}}
  maintenance: {{readonly: {{enabled: true}}}}
http: {{addr: 127.0.0.1:{port}}}
"""


@pytest.fixture(scope="module")
def program() -> Path:
    cache = Cache.default()
    recipe = recipes.tools()[1]
    if cache.result(recipe_key(recipe.inputs(Go.find().version))) is None:
        pytest.skip("not built yet: `gen lab build`")
    return cache.blob(build.tools(Silent(), cache=cache)["registry"])


@pytest.fixture
def origin(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "origin")


@pytest.fixture
def digest(origin: Cache) -> str:
    return images.make(origin, "test", [Member("program", b"binary" * 1000)], Settings(["/program"], "0:0"))


@pytest.fixture
def host(program: Path, origin: Cache, digest: str, tmp_path: Path) -> Iterator[str]:
    """Serve the image, and an index that names it beside one of a platform that is not here."""
    images.lay_out(origin, tmp_path / "storage", "library/test", "1.0", digest)
    entries = [
        {"mediaType": images.MANIFEST, "digest": f"sha256:{'0' * 64}", "size": 1, "platform": platform("arm64")},
        {"mediaType": images.MANIFEST, "digest": digest, "size": 1, "platform": platform("amd64")},
    ]
    index = {"schemaVersion": 2, "mediaType": registry.TYPES[0], "manifests": entries}
    images.lay_out(
        origin, tmp_path / "storage", "library/test", "many", f"sha256:{origin.add(json.dumps(index).encode())}"
    )
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
    (tmp_path / "config.yaml").write_text(CONFIG.format(storage=tmp_path / "storage", port=port))
    environment = os.environ | {"OTEL_TRACES_EXPORTER": "none"}
    with subprocess.Popen([program, "serve", str(tmp_path / "config.yaml")], env=environment) as process:
        limit = time.monotonic() + 20
        while time.monotonic() < limit:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        yield f"127.0.0.1:{port}"
        process.terminate()


def platform(architecture: str) -> dict[str, str]:
    return {"os": "linux", "architecture": architecture}


@pytest.mark.parametrize("by", ["tag", "digest"])
def test_an_image_comes_back_as_it_went_in(host: str, origin: Cache, digest: str, tmp_path: Path, by: str) -> None:
    cache = Cache(tmp_path / "cache")
    wanted = digest if by == "digest" else None
    fetcher = Fetcher(cache, Silent())
    assert pull.pull(cache, fetcher, f"{host}/library/test:1.0", wanted, scheme="http") == digest
    assert images.parts(cache, digest) == images.parts(origin, digest)


def test_of_an_index_the_platform_of_droplets_is_pulled(host: str, digest: str, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    found = pull.pull(cache, Fetcher(cache, Silent()), f"{host}/library/test:many", None, scheme="http")
    parts = images.parts(cache, found)
    assert parts is not None
    assert set(parts.manifests) == {found, digest}


@pytest.mark.parametrize("tag", ["absent", "1.0"])
def test_what_is_not_there_is_said(host: str, tmp_path: Path, tag: str) -> None:
    cache = Cache(tmp_path / "cache")
    wanted = f"sha256:{'1' * 64}" if tag == "1.0" else None
    with pytest.raises(Problem, match="the registry answered 404"):
        pull.pull(cache, Fetcher(cache, Silent()), f"{host}/library/test:{tag}", wanted, scheme="http")
