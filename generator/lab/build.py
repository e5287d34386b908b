"""Builds everything a lock names from source and writes the lock that names the result: only digests differ."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace

from generator import registry
from generator.errors import Problem
from generator.lab import archive, debian, images, postgres, recipes
from generator.lab.archive import Member
from generator.lab.cache import Cache, recipe_key, tree_sha256
from generator.lab.fetch import Fetcher
from generator.lab.golang import SOURCE, Go, GoRecipe
from generator.lab.images import Settings
from generator.lab.progress import Progress
from generator.release import Artifact, Image, Package, Release

SUFFIX = "-source"
BUILD_PACKAGES = {
    "gcc": "gcc libc6-dev",
    "pkg-config": "pkg-config",
    "dpkg-deb": "dpkg",
    "gpgv": "gpgv debian-archive-keyring",
}
NOBODY = "65532:65532"


def build(release: Release, progress: Progress, *, cache: Cache | None = None) -> Release:
    """Make every artifact, package and image of a release, or find it made, and give the made lock.

    The result is called `<name>-source` and has the same names, addresses, archive members and references. It can be
    interrupted at any moment and goes on where it was.

    Raises:
        Problem: a tool is missing, sources cannot be fetched, or a build fails.
    """
    cache = cache or Cache.default()
    _require_tools()
    builder = _Builder(cache, Go.find(), progress)
    with cache.locked(progress):
        return replace(
            release,
            name=made_name(release),
            artifacts=builder.artifacts(release),
            packages=builder.packages(release),
            images=tuple(builder.image(image) for image in release.images),
        )


def made_name(release: Release) -> str:
    """Name the lock that is made of a release; one that was made already keeps its name."""
    return release.name.removesuffix(SUFFIX) + SUFFIX


def tools(progress: Progress, *, cache: Cache) -> Mapping[str, str]:
    """Build the lab's own services, or find them built; name to digest."""
    found: dict[str, str] = {}
    go = Go.find()
    for recipe in recipes.tools():
        found |= go.build(recipe, cache, progress)
    return found


class _Builder:
    def __init__(self, cache: Cache, go: Go, progress: Progress) -> None:
        self.cache = cache
        self.go = go
        self.progress = progress
        self.fetcher = Fetcher(cache, progress)

    def artifacts(self, release: Release) -> tuple[Artifact, ...]:
        makers = recipes.artifacts(release)
        unknown = [artifact.name for artifact in release.artifacts if artifact.name not in makers]
        if unknown:
            raise Problem(f"no recipe builds {', '.join(f'`{name}`' for name in unknown)}", where=release.name)
        return tuple(self._artifact(artifact, makers[artifact.name]) for artifact in release.artifacts)

    def _artifact(self, artifact: Artifact, recipe: GoRecipe) -> Artifact:
        binaries = self._binaries(recipe)
        if tuple(artifact.install) == ("",):
            return replace(artifact, sha256=binaries[artifact.name])
        members = {member: member.rpartition("/")[2] for member in artifact.install}
        inputs = {"kind": "archive", "members": {member: binaries[name] for member, name in members.items()}}
        key = recipe_key(inputs)
        known = self.cache.result(key)
        if known is None:
            self.progress.step(artifact.name, "pack the archive")
            content = [Member(member, self.cache.blob(binaries[name])) for member, name in members.items()]
            with self.cache.workspace(artifact.name) as work:
                archive.write(work / "archive", content, gzip=True)
                known = {"archive": self.cache.adopt(work / "archive")}
            self.cache.remember(key, f"archive of {artifact.name} {artifact.version}", known)
        return replace(artifact, sha256=known["archive"])

    def packages(self, release: Release) -> tuple[Package, ...]:
        """Fetch the packages of the lock; when one is gone from everywhere, those that the index has now."""
        gone = [
            package.name
            for package in release.packages
            if not self.fetcher.file(package.name, package.urls, package.sha256)
        ]
        if not gone:
            return release.packages
        self.progress.step("packages", f"superseded: {', '.join(gone)}")
        current = debian.packages(debian.load(self.fetcher))
        for package in current:
            if not self.fetcher.file(package.name, package.urls, package.sha256):
                raise Problem(f"the package `{package.name}` {package.version} cannot be fetched", where=release.name)
        return current

    def image(self, image: Image) -> Image:
        tag = registry.split(image.reference)[2]
        makers: Mapping[str, Callable[[str], str]] = {
            "pause": self._pause,
            "coredns": self._coredns,
            "traefik": self._traefik,
            "order-book": self._order_book,
            "postgres": self._postgres,
        }
        if image.name not in makers:
            raise Problem(f"no recipe makes the image `{image.name}`", where=image.reference)
        return replace(image, digest=makers[image.name](tag))

    def _pause(self, _tag: str) -> str:
        inputs = {"kind": "pause", "source": tree_sha256(SOURCE / "pause")}
        binary = self.cache.result(recipe_key(inputs))
        if binary is None:
            self.progress.step("pause", "compile")
            with self.cache.workspace("pause") as work:
                command = ["gcc", "-Os", "-static", "-s", "-Wl,--build-id=none", "-o", str(work / "pause")]
                subprocess.run([*command, str(SOURCE / "pause" / "pause.c")], check=True)
                binary = {"pause": self.cache.adopt(work / "pause")}
            self.cache.remember(recipe_key(inputs), "pause", binary)
        return self._single("pause", "/pause", binary["pause"], Settings(["/pause"], "65535:65535"))

    def _coredns(self, tag: str) -> str:
        binary = self._binaries(recipes.coredns(f"v{tag}"))["coredns"]
        return self._single("coredns", "/coredns", binary, Settings(["/coredns"], NOBODY, ports=[53]))

    def _traefik(self, tag: str) -> str:
        binary = self._binaries(recipes.traefik(tag))["traefik"]
        path = "/usr/local/bin/traefik"
        settings = Settings([path], NOBODY, environment={"PATH": "/usr/local/bin"}, ports=[80])
        return self._single("traefik", path, binary, settings)

    def _order_book(self, _tag: str) -> str:
        binary = self._binaries(recipes.order_book())["orderbook"]
        return self._single("order-book", "/orderbook", binary, Settings(["/orderbook"], NOBODY, ports=[3000]))

    def _single(self, name: str, path: str, binary: str, settings: Settings) -> str:
        """Make an image of one binary, a world-writable /tmp and nothing else."""
        members = [Member(path.lstrip("/"), self.cache.blob(binary)), Member("tmp", mode=0o1777)]
        inputs = {"kind": "image", "path": path, "binary": binary, "settings": asdict(settings)}
        return self._once(name, inputs, lambda: images.make(self.cache, name, members, settings))

    def _postgres(self, tag: str) -> str:
        # The packages' versions are no input: an image that was made once stays, so that the lock does.
        major = tag.partition(".")[0]
        inputs = {"kind": "postgres", "major": major, "source": tree_sha256(SOURCE / "postgres"), "recipe": 2}
        return self._once("postgres", inputs, lambda: postgres.make(self.cache, self.fetcher, major))

    def _once(self, name: str, inputs: Mapping[str, object], make: Callable[[], str]) -> str:
        key = recipe_key(inputs)
        known = self.cache.result(key)
        digest = f"sha256:{known['manifest']}" if known else None
        if digest is None or images.parts(self.cache, digest) is None:
            self.progress.step(name, "write the image")
            digest = make()
            self.cache.remember(key, f"image {name}", {"manifest": digest.removeprefix("sha256:")})
        return digest

    def _binaries(self, recipe: GoRecipe) -> Mapping[str, str]:
        return self.go.build(recipe, self.cache, self.progress)


def _require_tools() -> None:
    missing = [packages for command, packages in BUILD_PACKAGES.items() if shutil.which(command) is None]
    if missing:
        names = " ".join(missing)
        raise Problem(f"building from source needs {names}", hint=f"apt-get install --no-install-recommends {names}")
    probe = subprocess.run(["pkg-config", "--exists", "libseccomp"], check=False)
    if probe.returncode != 0:
        hint = "apt-get install --no-install-recommends libseccomp-dev"
        raise Problem("building runc needs the headers and the archive of libseccomp", hint=hint)
