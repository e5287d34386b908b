"""Reads and writes the lock file that names every binary, package and image of a release by digest."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, ClassVar, Literal
from urllib.parse import urlsplit

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter

from generator import strict_yaml, validation, worktree
from generator.errors import Problem, raise_all
from generator.validation import Misfit

Role = Literal["control-plane", "worker"]
Filesystem = Literal["ext4", "xfs"]
"""What a volume can be formatted with."""
UNPINNED = "unpinned"
PINNING = "`gen release pin` fills in their digests where the registries can be reached"
LIMIT_BYTES = 1024 * 1024
CEILING_BYTES = 2 << 30
"""The longest download; without a `size` in the lock it is all that bounds one."""
BUILT_IN = Path(__file__).parent / "locks"
OWN = "releases"
"""Directory beside the description with the locks of a project."""
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_IS_LOCK = re.compile(r"[a-z0-9][a-z0-9.-]*\.yaml")

ARTIFACTS = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "kubectl",
    "etcd",
    "containerd",
    "runc",
    "cni-plugins",
)
_PRIVATE_ENDINGS = ("localhost", "local", "internal", "localdomain", "arpa", "lan", "home", "corp", "onion")
_DIRECTORIES = (PurePosixPath("/usr/local/bin"), PurePosixPath("/opt/cni/bin"))


def _url(value: str) -> str:
    if not value.isascii() or not value.isprintable() or " " in value or "\\" in value:
        raise Misfit("an address has neither white space nor control characters")
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError as error:
        raise Misfit("not an https:// address of a file") from error
    if parts.scheme != "https" or not parts.hostname or not parts.path.strip("/"):
        raise Misfit("not an https:// address of a file")
    if not _is_public(parts.hostname):
        raise Misfit(f"`{parts.hostname}` is no public host", "name the host, as others on the internet know it")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise Misfit("an address may have no user, query or fragment")
    return value


def _is_public(host: str) -> bool:
    """Tell whether a host is a name on the internet: no address, nothing of this machine or of a network around it."""
    labels = host.split(".")
    return (
        len(labels) > 1
        and all(re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", label) for label in labels)
        and not labels[-1].isdigit()
        and labels[-1] not in _PRIVATE_ENDINGS
    )


def _sha256(value: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{64}", value):
        raise Misfit("not a SHA-256 in lower-case hex (64 digits)")
    return value


def _image_digest(value: str) -> str:
    if value != UNPINNED and not _DIGEST.fullmatch(value):
        raise Misfit("not `sha256:` and 64 hex digits", f"write `{UNPINNED}` while the digest is not known")
    return value


def _reference(value: str) -> str:
    form = r"([a-z0-9.-]+\.[a-z]+)(:[0-9]+)?(/[a-z0-9._-]+)+:[A-Za-z0-9_][A-Za-z0-9._-]{0,127}"
    found = re.fullmatch(form, value)
    if found is None or not _is_public(found[1]):
        raise Misfit(
            "not `<registry>/<repository>:<tag>`", "write the registry's name too: `docker.io/library/postgres:17`"
        )
    return value


def image(name: str, value: str) -> Image:
    """Read `<registry>/<repository>:<tag>`, with `@sha256:<digest>` behind it or without.

    Raises:
        Misfit: it is something else.
    """
    reference, at, digest = value.partition("@")
    if at and not _DIGEST.fullmatch(digest):
        raise Misfit("what follows `@` is not `sha256:` and 64 hex digits")
    return Image(name, _reference(reference), digest if at else UNPINNED)


def _node_path(value: str) -> str:
    path = PurePosixPath(value)
    if path.parent not in _DIRECTORIES or str(path) != value or not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", path.name):
        raise Misfit(f"not a file in {' or '.join(f'`{directory}`' for directory in _DIRECTORIES)}")
    return value


_Urls = Annotated[tuple[Annotated[str, AfterValidator(_url)], ...], Field(min_length=1)]
_Sha256 = Annotated[str, AfterValidator(_sha256)]
_Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.+-]*$")]
_Roles = Annotated[tuple[Role, ...], Field(min_length=1)]
_Size = Annotated[int, Field(strict=True, ge=1, le=CEILING_BYTES)]


@dataclass(frozen=True)
class Artifact:
    """One download.

    `install` says which member of the archive goes where on the node; the member `""` is the file itself. `size` is in
    bytes, `None` where the lock's maker never had the file.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    name: _Name
    version: str
    roles: _Roles
    urls: _Urls
    sha256: _Sha256
    install: Annotated[Mapping[str, Annotated[str, AfterValidator(_node_path)]], Field(min_length=1)]
    size: _Size | None = None


@dataclass(frozen=True)
class Package:
    """One Debian package, unpacked below a prefix of our own; `size` is in bytes, as in an artifact.

    One that names a `filesystem` is for nodes with such a volume alone, one that names a `datapath` for its clusters.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    name: _Name
    version: str
    roles: _Roles
    urls: _Urls
    sha256: _Sha256
    size: _Size | None = None
    filesystem: Filesystem | None = None
    datapath: Literal["mesh"] | None = None


@dataclass(frozen=True)
class Image:
    """One container image; `digest` is `unpinned` where it is not known."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    name: _Name
    reference: Annotated[str, AfterValidator(_reference)]
    digest: Annotated[str, AfterValidator(_image_digest)]

    @property
    def is_pinned(self) -> bool:
        """Tell whether the digest is known."""
        return self.digest != UNPINNED

    @property
    def pinned(self) -> str:
        """Give the reference with its digest, where there is one."""
        return f"{self.reference}@{self.digest}" if self.is_pinned else self.reference


@dataclass(frozen=True)
class Release:
    """Everything that runs on a node, by digest."""

    name: str
    kubernetes: str
    artifacts: tuple[Artifact, ...]
    packages: tuple[Package, ...]
    images: tuple[Image, ...]

    def image(self, name: str) -> Image:
        """Find an image by its name in the lock."""
        return next(image for image in self.images if image.name == name)

    def artifact(self, name: str) -> Artifact:
        """Find an artifact by its name in the lock."""
        return next(artifact for artifact in self.artifacts if artifact.name == name)

    @property
    def unpinned(self) -> tuple[Image, ...]:
        """Give the images whose digest is not known."""
        return tuple(image for image in self.images if not image.is_pinned)

    @property
    def hosts(self) -> tuple[str, ...]:
        """Name every host that a node downloads from, registries included."""
        files: tuple[Artifact | Package, ...] = (*self.artifacts, *self.packages)
        hosts = {str(urlsplit(url).hostname) for file in files for url in file.urls}
        return tuple(sorted(hosts | {image.reference.partition("/")[0] for image in self.images}))


def load(name: str, beside: Path) -> Release:
    """Read a release's lock, from `releases/` beside the description or from those that come with the program.

    Raises:
        Problem: there is no such release.
        Problems: everything wrong in the lock.
    """
    path = known(beside).get(name)
    if path is None:
        raise Problem(f"there is no release `{name}`", hint=f"known releases: {', '.join(known(beside)) or 'none'}")
    base = beside
    if path.parent == BUILT_IN:
        base = BUILT_IN
        if own := worktree.entries(beside, OWN).get(path.name) if beside.is_dir() else None:
            what = "file" if own.kind == "file" else own.kind
            hint = "give the lock a name of its own, in the file too, and write that into `release`"
            message = f"this {what} has the name of a lock that comes with the program, which nothing may replace"
            raise Problem(message, where=str(beside / OWN / path.name), hint=hint)
    document = strict_yaml.load(path, base=base, limit_bytes=LIMIT_BYTES)
    release = _read(document)
    if release.name != name:
        raise Problem(f"`name` is {release.name!r}, not that of the file", where=document.where(("name",)))
    return release


def known(beside: Path) -> dict[str, Path]:
    """Find every release's lock by name; none beside the description replaces one of the program's."""
    own = worktree.entries(beside, OWN) if beside.is_dir() else {}
    found = {name.removesuffix(".yaml"): beside / OWN / name for name in own if _IS_LOCK.fullmatch(name)}
    found |= {path.stem: path for path in BUILT_IN.glob("*.yaml")}
    return dict(sorted(found.items()))


def is_own(name: str) -> bool:
    """Tell whether a lock of that name is a project's; all others come with the program."""
    return not (BUILT_IN / f"{name}.yaml").exists()


def parse(text: str, where: str) -> Release:
    """Read the text of a lock; `where` names it in messages."""
    return _read(strict_yaml.parse(text.encode(), where, limit_bytes=LIMIT_BYTES))


def dump(release: Release) -> str:
    """Write a lock, one block per file; what `parse` reads back is equal."""
    rows: Mapping[str, Iterable[Artifact | Package | Image]] = {
        "artifacts": release.artifacts,
        "packages": release.packages,
        "images": release.images,
    }
    text = f"version: 1\nname: {release.name}\nkubernetes: {release.kubernetes}\n"
    for section, files in rows.items():
        values = [_plain(file) for file in files]
        text += yaml.safe_dump({section: values}, sort_keys=False, width=2**31)
    return text


def _plain(file: Artifact | Package | Image) -> dict[str, object]:
    values = {key: value for key, value in asdict(file).items() if value is not None}
    return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}


def _read(document: strict_yaml.Document) -> Release:
    stored = validation.read(TypeAdapter(_Stored), document)
    raise_all(_incomplete(stored, document))
    return Release(stored.name, stored.kubernetes, stored.artifacts, stored.packages, stored.images)


def _incomplete(stored: _Stored, document: strict_yaml.Document) -> Iterable[Problem]:
    sections: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
        "artifacts": (tuple(file.name for file in stored.artifacts), ARTIFACTS),
        "packages": (tuple(file.name for file in stored.packages), ()),
        # Which of them are needed follows from the description.
        "images": (tuple(image.name for image in stored.images), ()),
    }
    places: dict[str, str] = {}
    for index, file in enumerate(stored.artifacts):
        for path in file.install.values():
            if path in places:
                message = f"`{path}` is installed by `{places[path]}` and by `{file.name}`"
                yield Problem(message, where=document.where(("artifacts", index)))
            places[path] = file.name
    for section, (names, needed) in sections.items():
        for index, name in enumerate(names):
            if name in names[:index]:
                yield Problem(f"`{name}` is listed twice in `{section}`", where=document.where((section, index)))
        for name in needed:
            if name not in names:
                yield Problem(f"`{name}` is missing in `{section}`", where=document.where((section,)))


class _Stored(BaseModel):
    """The file as it stands."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1]
    name: _Name
    kubernetes: Annotated[str, Field(pattern=r"^v1\.[0-9]+\.[0-9]+$")]
    artifacts: tuple[Artifact, ...]
    packages: tuple[Package, ...]
    images: tuple[Image, ...]
