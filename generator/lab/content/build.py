"""Has everything that a lock names: upstream's own where it can be reached, else built from source.

The result is a lock of its own, which differs from upstream's in digests alone.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TypeVar

from generator.errors import Problem
from generator.lab.content import archive, cilium, debian, images, postgres, pull, recipes
from generator.lab.content.archive import Member
from generator.lab.content.cache import Cache, recipe_key, tree_sha256
from generator.lab.content.fetch import Fetcher
from generator.lab.content.golang import SOURCE, Go, GoRecipe
from generator.lab.content.images import Settings
from generator.lab.process import bound
from generator.lab.progress import Progress
from generator.release import registry
from generator.release.lock_file import Artifact, Image, Package, Release

SUFFIX = "-source"
BUILD_PACKAGES = {
    "gcc": "gcc libc6-dev",
    "pkg-config": "pkg-config",
    "dpkg-deb": "dpkg",
    "gpgv": "gpgv debian-archive-keyring",
}
NOBODY = "65532:65532"
FETCHED = "upstream's own"
BUILT = "built from source"
STAND_IN = "a stand-in for the real image"
# any Go does: what the lab runs itself is in no lock
ANY_GO = "any"
LAST_GO = "go"
"""Where the cache notes which Go built last: what it built is found by that where there is no Go any more."""
_File = TypeVar("_File", Artifact, Image)
_Download = TypeVar("_Download", Artifact, Package)


def build(release: Release, progress: Progress, *, cache: Cache | None = None) -> Release:
    """Have every artifact, package and image of a release, and give the lock that names them.

    Upstream is asked first, each host once; what it does not give is built from source. What was built once stays,
    also when upstream can be reached later, so that a lock does not change under a cluster. The result is called
    `<name>-source` and has the same names, addresses, archive members and references. It can be interrupted at any
    moment and goes on where it was.

    Raises:
        Problem: a tool is missing, sources cannot be fetched, or a build fails.
    """
    cache = cache or Cache.default()
    builder = _Builder(cache, progress)
    with cache.locked(progress):
        made = replace(
            release,
            name=made_name(release),
            artifacts=tuple(map(builder.sized, builder.artifacts(release))),
            packages=tuple(map(builder.sized, builder.packages(release))),
            images=tuple(builder.image(image) for image in release.images),
        )
    for way in (FETCHED, BUILT, STAND_IN):
        names = ", ".join(name for name, taken in builder.ways.items() if taken == way)
        if names:
            progress.say(f"{way}: {names}")
    return made


def made_name(release: Release) -> str:
    """Name the lock that is made of a release; one that was made already keeps its name."""
    return release.name.removesuffix(SUFFIX) + SUFFIX


def tools(progress: Progress, *, cache: Cache) -> Mapping[str, str]:
    """Build the lab's own services, or find them built, also where there is no Go; name to digest."""
    found: dict[str, str] = {}
    for recipe in recipes.tools():
        key = recipe_key(recipe.inputs(ANY_GO))
        known = cache.result(key)
        if known is None:
            known = Go.find().build(recipe, cache, progress)
            cache.remember(key, f"{recipe.name} {recipe.version}", known)
        found |= known
    return found


@dataclass(frozen=True)
class _Making:
    """How an image is made from source: all that decides its bytes, and the work."""

    inputs: Mapping[str, object]
    make: Callable[[], str]
    way: str = BUILT


class _Builder:
    def __init__(self, cache: Cache, progress: Progress) -> None:
        self.cache = cache
        self.progress = progress
        self.fetcher = Fetcher(cache, progress)
        self.ways: dict[str, str] = {}

    @cached_property
    def go(self) -> Go:
        """The compiler and all that goes with it; asked for when something must be built."""
        _require_tools()
        found = Go.find()
        self.cache.note(LAST_GO, found.version)
        return found

    @cached_property
    def go_version(self) -> str:
        """What results of Go are known by: this machine's version, or without one that of the last build."""
        try:
            return Go.find().version
        except Problem:
            return self.cache.noted(LAST_GO) or ""

    def sized(self, file: _Download) -> _Download:
        """Say how long a file is, which is in the cache."""
        return replace(file, size=self.cache.size(file.sha256))

    def artifacts(self, release: Release) -> tuple[Artifact, ...]:
        makers = recipes.artifacts(release)
        unknown = [artifact.name for artifact in release.artifacts if artifact.name not in makers]
        if unknown:
            raise Problem(f"no recipe builds {', '.join(f'`{name}`' for name in unknown)}", where=release.name)
        return tuple(self._artifact(artifact, makers[artifact.name]) for artifact in release.artifacts)

    def _artifact(self, artifact: Artifact, recipe: GoRecipe) -> Artifact:
        if self.cache.has(artifact.sha256):
            return self._took(artifact, FETCHED)
        binaries = self.cache.result(self._key(recipe))
        if binaries is None:
            if self.fetcher.file(artifact.name, artifact.urls, artifact.sha256, size=artifact.size):
                return self._took(artifact, FETCHED)
            binaries = self.go.build(recipe, self.cache, self.progress)
        is_single = tuple(artifact.install) == ("",)
        made = binaries[artifact.name] if is_single else self._archive(artifact, binaries)
        return self._took(replace(artifact, sha256=made), BUILT)

    def _archive(self, artifact: Artifact, binaries: Mapping[str, str]) -> str:
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
        return known["archive"]

    def packages(self, release: Release) -> tuple[Package, ...]:
        """Fetch the packages of the lock; when one is gone from everywhere, those that the index has now."""
        gone = [
            package.name
            for package in release.packages
            if not self.fetcher.file(package.name, package.urls, package.sha256, size=package.size)
        ]
        if not gone:
            return release.packages
        self.progress.step("packages", f"superseded: {', '.join(gone)}")
        current = debian.packages(debian.load(self.fetcher))
        for package in current:
            if not self.fetcher.file(package.name, package.urls, package.sha256, size=package.size):
                raise Problem(f"the package `{package.name}` {package.version} cannot be fetched", where=release.name)
        return current

    def image(self, image: Image) -> Image:
        making = self._making(image)
        digest, way = self._known({"kind": "pulled", "reference": image.pinned}), FETCHED
        if digest is None:
            digest, way = self._known(making.inputs), making.way
        if digest is None:
            digest, way = self._pull(image), FETCHED
        if digest is None:
            self.progress.step(image.name, "write the image")
            digest, way = making.make(), making.way
            self._remember(image, making.inputs, digest)
        return self._took(replace(image, digest=digest), way)

    def _making(self, image: Image) -> _Making:
        tag = registry.split(image.reference)[2]
        makers: Mapping[str, Callable[[str], _Making]] = {
            "pause": self._pause,
            "cilium": self._cilium,
            "cilium-operator": self._cilium_operator,
            "coredns": self._coredns,
            "metrics-server": self._metrics_server,
            "traefik": self._traefik,
            "order-book": self._order_book,
            "postgres": self._postgres,
        }
        if image.name not in makers:
            raise Problem(f"no recipe makes the image `{image.name}`", where=image.reference)
        return makers[image.name](tag)

    def _pull(self, image: Image) -> str | None:
        self.progress.step(image.name, f"pull {image.reference}")
        try:
            digest = pull.pull(self.cache, self.fetcher, image.reference, image.digest if image.is_pinned else None)
        except Problem as problem:
            self.progress.step(image.name, problem.message)
            return None
        self._remember(image, {"kind": "pulled", "reference": image.pinned}, digest)
        return digest

    def _pause(self, _tag: str) -> _Making:
        def compiled() -> str:
            _require_tools()
            with self.cache.workspace("pause") as work:
                command = ["gcc", "-Os", "-static", "-s", "-Wl,--build-id=none", "-o", str(work / "pause")]
                subprocess.run(bound([*command, str(SOURCE / "pause" / "pause.c")]), check=True)
                return self.cache.adopt(work / "pause")

        settings = Settings(["/pause"], "65535:65535")
        return self._single("pause", "/pause", tree_sha256(SOURCE / "pause"), compiled, settings)

    def _cilium(self, tag: str) -> _Making:
        # As of Postgres, the packages' versions are no input.
        recipe = recipes.cilium(tag)
        inputs = {"kind": "cilium", "binaries": recipe.inputs(self.go_version), "recipe": cilium.RECIPE}

        def make() -> str:
            binaries = self.go.build(recipe, self.cache, self.progress)
            sources = self.go.download(recipe.module, recipe.version, "cilium")
            return cilium.make(self.cache, self.fetcher, binaries, sources)

        return _Making(inputs, make)

    def _cilium_operator(self, tag: str) -> _Making:
        path = "/usr/bin/cilium-operator-generic"
        settings = Settings([path], "0:0", environment={"PATH": "/usr/bin"}, ports=[9234])
        return self._of_go(recipes.cilium(tag), path, settings)

    def _coredns(self, tag: str) -> _Making:
        return self._of_go(recipes.coredns(f"v{tag}"), "/coredns", Settings(["/coredns"], NOBODY, ports=[53]))

    def _metrics_server(self, tag: str) -> _Making:
        return self._of_go(recipes.metrics_server(tag), "/metrics-server", Settings(["/metrics-server"], NOBODY))

    def _traefik(self, tag: str) -> _Making:
        path = "/usr/local/bin/traefik"
        settings = Settings([path], NOBODY, environment={"PATH": "/usr/local/bin"}, ports=[80])
        return self._of_go(recipes.traefik(tag), path, settings)

    def _order_book(self, _tag: str) -> _Making:
        settings = Settings(["/orderbook"], NOBODY, ports=[3000])
        return replace(self._of_go(recipes.order_book(), "/orderbook", settings), way=STAND_IN)

    def _of_go(self, recipe: GoRecipe, path: str, settings: Settings) -> _Making:
        """Make an image of a Go command, which has the same name as the file."""

        def compiled() -> str:
            return self.go.build(recipe, self.cache, self.progress)[path.rpartition("/")[2]]

        return self._single(recipe.name, path, recipe.inputs(self.go_version), compiled, settings)

    def _single(self, name: str, path: str, binary: object, compiled: Callable[[], str], settings: Settings) -> _Making:
        """Make an image of one binary, a world-writable /tmp and nothing else."""

        def make() -> str:
            members = [Member(path.lstrip("/"), self.cache.blob(compiled())), Member("tmp", mode=0o1777)]
            return images.make(self.cache, name, members, settings)

        return _Making({"kind": "image", "path": path, "binary": binary, "settings": asdict(settings)}, make)

    def _postgres(self, tag: str) -> _Making:
        # The packages' versions are no input: an image that was made once stays, so that the lock does.
        major = tag.partition(".")[0]
        inputs = {"kind": "postgres", "major": major, "source": tree_sha256(SOURCE / "postgres"), "recipe": 2}

        def make() -> str:
            _require_tools()
            return postgres.make(self.cache, self.fetcher, major)

        return _Making(inputs, make)

    def _known(self, inputs: Mapping[str, object]) -> str | None:
        known = self.cache.result(recipe_key(inputs))
        digest = f"sha256:{known['manifest']}" if known else None
        return digest if digest and images.parts(self.cache, digest) else None

    def _remember(self, image: Image, inputs: Mapping[str, object], digest: str) -> None:
        outputs = {"manifest": digest.removeprefix("sha256:")}
        self.cache.remember(recipe_key(inputs), f"image {image.name}", outputs)

    def _key(self, recipe: GoRecipe) -> str:
        return recipe_key(recipe.inputs(self.go_version))

    def _took(self, file: _File, way: str) -> _File:
        self.progress.step(file.name, way)
        self.ways[file.name] = way
        return file


def _require_tools() -> None:
    missing = [packages for command, packages in BUILD_PACKAGES.items() if shutil.which(command) is None]
    if missing:
        names = " ".join(missing)
        raise Problem(f"building from source needs {names}", hint=f"apt-get install --no-install-recommends {names}")
    probe = subprocess.run(["pkg-config", "--exists", "libseccomp"], check=False)
    if probe.returncode != 0:
        hint = "apt-get install --no-install-recommends libseccomp-dev"
        raise Problem("building runc needs the headers and the archive of libseccomp", hint=hint)
