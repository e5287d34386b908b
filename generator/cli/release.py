"""`gen release`: lists and shows locks, writes their bills of materials, fills in the digests that one lacks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from generator import worktree
from generator.cli.options import file_option, json_option, print_json, say
from generator.cli.table import text_table
from generator.description.load import load as load_description
from generator.description.schema import ClusterSpec
from generator.errors import Problem, raise_all
from generator.manifests import images as images_of
from generator.manifests import own, pins
from generator.plan import images
from generator.release import lock_file, sbom
from generator.validation import Misfit

if TYPE_CHECKING:
    from generator.release.pin import Answers


PINNED = "-pinned"
"""Ending of the name of a lock that was made by pinning one that comes with the program."""

_name_argument = click.argument("name", required=False)


@click.group()
def release() -> None:
    """List, show and pin the locks of releases."""


@release.command("list")
@file_option
@json_option
def list_locks(file: Path, *, as_json: bool) -> None:
    """List every release there is: those that come with the program, and those of releases/ beside the description."""
    found = [(lock_file.load(name, file.parent), path) for name, path in lock_file.known(file.parent).items()]
    if as_json:
        keys = ("name", "kubernetes", "unpinned_images", "file")
        print_json(
            [
                dict(zip(keys, (one.name, one.kubernetes, [each.name for each in one.unpinned], path), strict=True))
                for one, path in found
            ]
        )
        return
    rows = [
        (one.name, one.kubernetes, len(one.artifacts), len(one.packages), len(one.images), _pinned(one), path)
        for one, path in found
    ]
    click.echo(text_table(("RELEASE", "KUBERNETES", "BINARIES", "PACKAGES", "IMAGES", "PINNED", "FILE"), rows))


@release.command("show")
@_name_argument
@file_option
@json_option
def show(name: str | None, file: Path, *, as_json: bool) -> None:
    """Show what one release consists of, each part with version and digest.

    NAME is the release; the description's unless given.
    """
    lock = _named(name, file)
    if as_json:
        print_json(asdict(lock))
        return
    rows = [
        *(("binary", one.name, one.version, one.sha256) for one in lock.artifacts),
        *(("package", one.name, one.version, one.sha256) for one in lock.packages),
        *(("image", one.name, one.reference, one.digest) for one in lock.images),
    ]
    click.echo(f"{lock.name}: Kubernetes {lock.kubernetes}\n")
    click.echo(text_table(("KIND", "NAME", "VERSION", "DIGEST"), rows))


@release.command("sbom")
@_name_argument
@file_option
def show_bill(name: str | None, file: Path) -> None:
    """Write a release's bill of materials, as CycloneDX JSON.

    NAME is the release; the description's unless given.
    """
    print_json(sbom.bill(_named(name, file)))


@release.command("pin")
@_name_argument
@file_option
def pin_images(name: str | None, file: Path) -> None:
    """Ask the registries what the images' tags mean, and write missing digests into a lock of your own.

    NAME is the release, all of whose images are asked for; without it those that the description's cluster runs.
    An image keeps a digest that it has: when its tag means another one by now, that is said. What is found is
    written, also when others can't be had. A lock that comes with the program stays as it is: its pinned copy goes to
    releases/ beside the description, under a name of its own. Digests of the images of your own addons go to
    addons.lock, beside the description. HTTPS_PROXY and NO_PROXY are honoured.
    """
    from generator.release import pin, registry  # the one verb of these that asks the network

    spec = None if name else load_description(file)
    lock = _continued(_named(name, file), file.parent)
    asked = lock.images if spec is None else images.used(spec, lock).images
    described = spec.order_book if spec is not None and spec.order_book.image is not None else None
    if described is not None and described.pull_secret is not None:
        say(f"{described.image}: not asked for, since `order_book.pull_secret` says that not everybody may")
        asked = tuple(image for image in asked if image.name != images.ORDER_BOOK)
    answers = pin.ask(asked, registry.pool())
    _say_what_stays(answers, f"write `digest: {lock_file.UNPINNED}` into a lock of your own and pin that")
    for image in answers.found:
        say(image.pinned)
        if described is not None and image.name == images.ORDER_BOOK:
            say(f"next: `order_book.image: {image.pinned}` in {file}")
    apart = () if described is None else (images.ORDER_BOOK,)
    _write(lock, {image.name: image for image in answers.found if image.name not in apart}, file.parent)
    problems = list(answers.problems)
    if spec is not None:
        problems += _pin_own(spec, file.parent, {one.reference: one.digest for one in lock.images if one.is_pinned})
    raise_all(problems)


def _say_what_stays(answers: Answers, otherwise: str) -> None:
    """Say which pins hold, and of which the tag means something else by now, and what to do to take that."""
    for image in answers.confirmed:
        say(f"{image.reference}: as pinned")
    for image, digest in answers.moved:
        say(f"warning: {image.reference}: the tag means {digest} by now; {image.digest} stays")
        say(f"  hint: to take the new one, {otherwise}")


def _pin_own(spec: ClusterSpec, beside: Path, locked: Mapping[str, str]) -> list[Problem]:
    """Ask for the images of the user's own addons, and write missing digests beside the description."""
    from generator.release import pin, registry

    found, problems = own.read(spec, beside)
    raise_all(problems)  # images of what can't be read would be missed
    known = pins.load(beside)
    references = {
        images_of.full(image) for items in found.values() for item in items for _, image in images_of.of(item)
    }
    wanted, wrong = [], []
    for reference in sorted(one for one in references if not images_of.is_pinned(one) and one not in locked):
        try:
            wanted.append(replace(lock_file.image("own", reference), digest=known.get(reference, lock_file.UNPINNED)))
        except Misfit as misfit:
            wrong.append(Problem(f"can't be pinned: {misfit.message}", where=reference, hint=misfit.hint))
    answers = pin.ask(wanted, registry.pool())
    _say_what_stays(answers, f"take its entry out of {pins.LOCK} and pin again")
    for image in answers.found:
        say(image.pinned)
    kept = {reference: digest for reference, digest in known.items() if reference in references}
    new = kept | {image.reference: image.digest for image in answers.found}
    if new != known:
        pins.write(beside, new)
        say(f"wrote {beside / pins.LOCK}")
        say("next: `gen render`, read what changed, and commit all of it")
    return wrong + answers.problems


def _write(lock: lock_file.Release, found: Mapping[str, lock_file.Image], beside: Path) -> None:
    """Write a lock with the images that were found; nothing where none was."""
    if not found:
        return
    name = lock.name if lock_file.is_own(lock.name) else f"{lock.name}{PINNED}"
    path = f"{lock_file.OWN}/{name}.yaml"
    pinned = replace(lock, name=name, images=tuple(found.get(image.name, image) for image in lock.images))
    worktree.write(beside, path, lock_file.dump(pinned).encode())
    say(f"wrote {beside / path}")
    say(f"next: `release: {name}` in the description, `gen render`, read what changed, and commit all of it")


def _continued(lock: lock_file.Release, beside: Path) -> lock_file.Release:
    """Give a lock of the program's with what an earlier run found, which is in its pinned copy."""
    copy = f"{lock.name}{PINNED}"
    if lock_file.is_own(lock.name) or copy not in lock_file.known(beside):
        return lock
    earlier = {image.reference: image for image in lock_file.load(copy, beside).images}
    return replace(lock, images=tuple(one if one.is_pinned else earlier.get(one.reference, one) for one in lock.images))


def _named(name: str | None, file: Path) -> lock_file.Release:
    return lock_file.load(name or load_description(file).release, file.parent)


def _pinned(lock: lock_file.Release) -> str:
    return f"all but {len(lock.unpinned)}" if lock.unpinned else "all"
