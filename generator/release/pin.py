"""Asks what the tags of a lock's images mean now: fills in missing digests, and holds the others against it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import urllib3

from generator.errors import Problem
from generator.release import registry
from generator.release.lock_file import Image
from generator.release.registry import Manifest, Repository, Unreachable


@dataclass
class Answers:
    """What registries say of images, each of which is in one of the lists.

    `found` had no digest and has now the one that its tag means: of an image for several platforms that of the index.
    `confirmed` are as they were pinned. `moved` keep their digest, which their registry still has: with each goes what
    its tag means now. `problems` say of every other what is in the way.
    """

    found: list[Image] = field(default_factory=list)
    confirmed: list[Image] = field(default_factory=list)
    moved: list[tuple[Image, str]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def ask(images: Iterable[Image], pool: urllib3.PoolManager) -> Answers:
    """Ask each image's registry; one that does not answer, or answers no more, is not asked again."""
    answers = Answers()
    silent: dict[str, Unreachable] = {}
    for image in images:
        repository = Repository(image.reference, pool)
        try:
            if (first := silent.get(repository.host)) is not None:
                raise type(first)(first.message, where=image.reference, hint=first.hint)
            _sort(image, repository, answers)
        except Unreachable as problem:
            silent[repository.host] = problem
            answers.problems.append(problem)
        except Problem as problem:
            answers.problems.append(problem)
    return answers


def _sort(image: Image, repository: Repository, answers: Answers) -> None:
    now = _runnable(repository.manifest(registry.split(image.reference)[2]), image)
    if not image.is_pinned:
        answers.found.append(replace(image, digest=now.digest))
    elif now.digest == image.digest:
        answers.confirmed.append(image)
    else:
        _runnable(_kept(image, repository), image)
        answers.moved.append((image, now.digest))


def _kept(image: Image, repository: Repository) -> Manifest:
    """Read what is pinned, which the tag means no more."""
    try:
        return repository.manifest(image.digest)
    except Unreachable:
        raise
    except Problem as problem:
        message = f"{problem.message} for {image.digest}, which is pinned"
        raise Problem(message, where=image.reference, hint=problem.hint) from problem


def _runnable(manifest: Manifest, image: Image) -> Manifest:
    if manifest.droplets is None:
        raise Problem("the image is not made for linux/amd64", where=image.reference)
    return manifest
