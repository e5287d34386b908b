"""Upstream's own is taken where it can be had, what can't is built, and neither is asked for nor made twice."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from generator.lab.content import build, fetch, images, recipes
from generator.lab.content.cache import Cache, recipe_key
from generator.lab.content.golang import Go, GoRecipe
from generator.release import lock_file
from generator.release.lock_file import Image, Release

from .... import registries


class Told:
    """Keeps what progress was made."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.lines: list[str] = []

    def step(self, name: str, detail: str) -> None:
        self.steps.append(f"{name}: {detail}")

    def say(self, line: str) -> None:
        self.lines.append(line)


class Upstream(BaseHTTPRequestHandler):
    """Has what is in `content`; anything else is gone."""

    content: dict[str, bytes]
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path not in self.content:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.content[self.path])))
        self.end_headers()
        self.wfile.write(self.content[self.path])

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def upstream() -> Iterator[str]:
    Upstream.content, Upstream.asked = {}, []
    with ThreadingHTTPServer(("127.0.0.1", 0), Upstream) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}"
        listening.shutdown()
        thread.join()


@pytest.fixture
def compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Put a Go on PATH that says its version, compile in no time, and tell what was compiled."""
    program = tmp_path / "bin" / "go"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho go1.26.8\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(build, "_require_tools", lambda: None)
    found: list[str] = []

    def compile(go: Go, recipe: GoRecipe, cache: Cache, _progress: object) -> Mapping[str, str]:
        known = cache.result(recipe_key(recipe.inputs(go.version)))
        if known is None:
            found.append(recipe.name)
            known = {binary: cache.add(f"{binary} of {recipe.name}".encode()) for binary in recipe.packages}
            cache.remember(recipe_key(recipe.inputs(go.version)), recipe.name, known)
        return known

    monkeypatch.setattr(Go, "build", compile)
    return found


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def lock(base: str) -> Release:
    """The program's lock with other addresses and digests, and without what Debian and the registries have."""
    known = lock_file.load("k8s-1.36", Path("/nonexistent"))
    artifacts = tuple(
        replace(file, urls=(f"{base}/{file.name}",), sha256=hashlib.sha256(file.name.encode()).hexdigest())
        for file in known.artifacts
    )
    return replace(known, artifacts=artifacts, packages=(), images=())


def publish(release: Release, *but: str) -> None:
    Upstream.content |= {f"/{file.name}": file.name.encode() for file in release.artifacts if file.name not in but}


def no_go(monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
    (directory / "empty").mkdir()
    monkeypatch.setenv("PATH", str(directory / "empty"))


def test_what_upstream_has_is_taken_and_no_compiler_asked_for(
    upstream: str, cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_go(monkeypatch, tmp_path)
    release = lock(upstream)
    publish(release)
    told = Told()
    sized = tuple(replace(file, size=len(file.name)) for file in release.artifacts)
    assert build.build(release, told, cache=cache) == replace(release, name="k8s-1.36-source", artifacts=sized)
    assert told.lines == [f"upstream's own: {', '.join(file.name for file in release.artifacts)}"]
    assert "etcd: upstream's own" in told.steps
    Upstream.content.clear()
    assert build.build(release, told, cache=cache).artifacts == sized


@pytest.mark.parametrize("wrong", ["gone", "changed"])
def test_what_upstream_lacks_is_built_and_the_rest_taken(
    upstream: str, cache: Cache, compiled: list[str], wrong: str
) -> None:
    release = lock(upstream)
    publish(release, "cni-plugins", "runc")
    if wrong == "changed":
        Upstream.content |= {"/cni-plugins": b"other", "/runc": b"other"}
    told = Told()
    made = build.build(release, told, cache=cache)
    pairs = zip(made.artifacts, release.artifacts, strict=True)
    built = {file.name for file, old in pairs if file.sha256 != old.sha256}
    assert built == {"cni-plugins", "runc"}
    assert told.lines[1] == "built from source: runc, cni-plugins"
    assert cache.blob(made.artifact("runc").sha256).read_text() == "runc of runc"


def test_what_was_built_stays_and_nobody_is_asked_again(upstream: str, cache: Cache, compiled: list[str]) -> None:
    release = lock(upstream)
    made = build.build(release, Told(), cache=cache)
    assert not {file.sha256 for file in made.artifacts} & {file.sha256 for file in release.artifacts}
    before = len(compiled)
    publish(release)
    Upstream.asked.clear()
    assert build.build(release, Told(), cache=cache) == made
    assert Upstream.asked == []
    assert len(compiled) == before > 0


def test_what_was_built_is_found_without_go(
    upstream: str, cache: Cache, compiled: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pause = Image("pause", "registry.test/coredns/coredns:1.14.7", "unpinned")
    release = replace(lock(upstream), images=(replace(pause, name="coredns"),))
    made = build.build(release, Told(), cache=cache)
    before = list(compiled)
    assert "coredns" in before
    no_go(monkeypatch, tmp_path)
    assert build.build(release, Told(), cache=cache) == made
    assert compiled == before


def test_a_host_that_is_away_costs_its_time_once(
    cache: Cache, compiled: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[tuple[str, int]] = []

    def hangs(host: str, port: int, _seconds: float) -> bool:
        tried.append((host, port))
        return False

    monkeypatch.setattr(fetch, "_takes_connections", hangs)
    release = lock("https://upstream.test")
    images = (Image("coredns", "registry.test/coredns:1.14.7", "unpinned"),)
    images += (Image("traefik", "registry.test/traefik:v3.7.13", "unpinned"),)
    made = build.build(replace(release, images=images), Told(), cache=cache)
    assert made.unpinned == ()
    assert tried == [("upstream.test", 443), ("registry.test", 443)]


def test_an_image_is_pulled_by_its_tag_and_pinned(
    cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_go(monkeypatch, tmp_path)
    told = Told()
    with registries.serving(tmp_path, monkeypatch) as registry:
        digests = {
            "coredns": registry.add("coredns/coredns", "1.14.7", "arm64", "amd64"),
            "order-book": registry.add("amagnu/limit-order-book", "1.37"),
        }
        wanted = (
            Image("coredns", registry.reference("coredns/coredns", "1.14.7"), "unpinned"),
            Image("order-book", registry.reference("amagnu/limit-order-book", "1.37"), "unpinned"),
        )
        release = replace(lock("http://127.0.0.1:9"), artifacts=(), images=wanted)
        monkeypatch.setattr(recipes, "artifacts", lambda _: {})
        made = build.build(release, told, cache=cache)
        asked = len(registry.asked)
        registry.content.clear()
        assert build.build(release, told, cache=cache) == made
        assert len(registry.asked) == asked
    assert {image.name: image.digest for image in made.images} == digests
    assert all(images.parts(cache, digest) is not None for digest in digests.values())
    assert told.lines[0] == "upstream's own: coredns, order-book"


def test_where_the_application_may_not_be_pulled_there_is_a_stand_in(
    cache: Cache, compiled: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Told()
    with registries.serving(tmp_path, monkeypatch) as registry:
        registry.private.add("amagnu/limit-order-book")
        image = Image("order-book", registry.reference("amagnu/limit-order-book", "1.37"), "unpinned")
        release = replace(lock("http://127.0.0.1:9"), artifacts=(), images=(image,))
        monkeypatch.setattr(recipes, "artifacts", lambda _: {})
        made = build.build(release, told, cache=cache)
    assert images.parts(cache, made.images[0].digest) is not None
    assert "order-book: no token for anybody: 401" in told.steps
    assert told.lines == ["a stand-in for the real image: order-book"]


def test_the_labs_own_services_need_go_only_once(
    cache: Cache, compiled: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = build.tools(Told(), cache=cache)
    assert set(found) == {"versitygw", "registry"}
    no_go(monkeypatch, tmp_path)
    assert build.tools(Told(), cache=cache) == found
    assert sorted(compiled) == ["registry", "versitygw"]
