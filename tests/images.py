"""Makes the images that tests bring into a cluster, and puts them into a lab's lock, where no document names them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path

from generator.files import write_atomic
from generator.lab.content import images, unpack
from generator.lab.content.archive import Member
from generator.lab.content.cache import Cache, recipe_key
from generator.lab.content.fetch import Fetcher
from generator.lab.content.golang import Go, GoRecipe
from generator.lab.content.images import Settings
from generator.lab.progress import Progress
from generator.release import lock_file
from generator.release.lock_file import Image
from tests.silent import Silent

RELEASE = "k8s-1.36-source"
NOBODY = "65532:65532"
# One of the lab's registries; upstream has nothing of that name.
REPOSITORY = "registry.k8s.io/hardway-tests"
PROBE = GoRecipe("probe", "hardway/probe", "", {"probe": "."}, own=Path(__file__).parent / "datapath" / "probe")


@dataclass(frozen=True)
class Recipe:
    """How an image of tests is made: Debian's packages with all they need, programs by path, and how it starts.

    `links` are symbolic links by path. The packages' versions are no input: an image that was made once stays.
    """

    name: str
    reference: str
    packages: Sequence[str]
    programs: Mapping[str, str]
    settings: Settings
    links: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Maker:
    """Builds programs and images, or finds them built."""

    cache: Cache
    progress: Progress

    @classmethod
    def default(cls, progress: Progress | None = None) -> Maker:
        """Give one with this user's cache."""
        return cls(Cache.default(), progress or Silent())

    @cached_property
    def go(self) -> Go:
        """The compiler."""
        return Go.find()

    def programs(self, *recipes: GoRecipe) -> dict[str, str]:
        """Build commands; name to digest.

        Raises:
            Problem: they were never built, and cannot be now.
        """
        with self.cache.locked(self.progress):
            return {
                name: sha
                for recipe in recipes
                for name, sha in self.go.build(recipe, self.cache, self.progress).items()
            }

    def image(self, recipe: Recipe) -> Image:
        """Make an image; its programs are named by the digests of their content.

        Raises:
            Problem: a package cannot be had.
        """
        key = recipe_key({"kind": "test image", **asdict(recipe)})
        known = self.cache.result(key)
        digest = f"sha256:{known['manifest']}" if known else None
        if digest is None or images.parts(self.cache, digest) is None:
            with self.cache.locked(self.progress):
                digest = images.make(self.cache, recipe.name, self._members(recipe), recipe.settings)
            self.cache.remember(key, f"image {recipe.name}", {"manifest": digest.removeprefix("sha256:")})
        return Image(recipe.name, recipe.reference, digest)

    def _members(self, recipe: Recipe) -> Iterable[Member]:
        members: dict[str, Member] = {}
        if recipe.packages:
            fetcher = Fetcher(self.cache, self.progress)
            members |= unpack.members(self.cache, fetcher, recipe.name, ["base-files", *recipe.packages])
        members |= {path: Member(path, self.cache.blob(sha)) for path, sha in recipe.programs.items()}
        members |= {path: Member(path, link=target, mode=0o777) for path, target in recipe.links.items()}
        members |= {path: Member(path, text.encode(), mode=0o644) for path, text in recipe.files.items()}
        members["tmp"] = Member("tmp", mode=0o1777)
        return members.values()


def program(recipe: GoRecipe, maker: Maker | None = None) -> Path:
    """Build a single command for this machine, or find it built."""
    maker = maker or Maker.default()
    (digest,) = maker.programs(recipe).values()
    return maker.cache.blob(digest)


def probe(maker: Maker) -> Image:
    """Make the image that measures the datapath: a probe of our own, and iperf3."""
    program = maker.programs(PROBE)["probe"]
    settings = Settings(
        ["/usr/local/bin/probe"], NOBODY, command=["serve"], environment={"PATH": "/usr/local/bin:/usr/bin"}
    )
    recipe = Recipe("probe", f"{REPOSITORY}/probe:1", ["iperf3"], {"usr/local/bin/probe": program}, settings)
    return maker.image(recipe)


def bring(directory: Path, brought: Sequence[Image], release: str = RELEASE) -> None:
    """Put images into the lock beside a description, so that the lab's registries serve them."""
    lock = lock_file.load(release, directory)
    names = {image.name for image in brought}
    others = tuple(image for image in lock.images if image.name not in names)
    text = lock_file.dump(replace(lock, images=(*others, *brought)))
    write_atomic(directory / lock_file.OWN / f"{release}.yaml", text.encode())
