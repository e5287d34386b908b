"""`gen release`: lists and shows locks, writes their bills of materials, fills in the digests that one lacks."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import click

from generator import worktree
from generator.cli.options import file_option, json_option, print_json, say
from generator.cli.table import text_table
from generator.description.load import load as load_description
from generator.release import lock_file, sbom

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
    """Ask the registries for the digests of images that have none, and write them into a lock of your own.

    NAME is the release; the description's unless given. An image keeps a digest that it has. Nothing is written
    unless all can be had. A lock that comes with the program stays as it is: its pinned copy goes to releases/
    beside the description, under a name of its own.
    """
    from generator.release import pin, registry  # the one verb of these that asks the network

    lock = _named(name, file)
    if not lock.unpinned:
        say(f"release `{lock.name}`: every image has its digest")
        return
    pinned = pin.pin(lock, registry.pool())
    for image in lock.unpinned:
        say(f"{pinned.image(image.name).pinned}")
    name = lock.name if lock_file.is_own(lock.name) else f"{lock.name}{PINNED}"
    path = f"{lock_file.OWN}/{name}.yaml"
    worktree.write(file.parent, path, lock_file.dump(replace(pinned, name=name)).encode())
    say(f"wrote {file.parent / path}")
    say(f"next: `release: {name}` in the description, `gen render`, read what changed, and commit all of it")


def _named(name: str | None, file: Path) -> lock_file.Release:
    return lock_file.load(name or load_description(file).release, file.parent)


def _pinned(lock: lock_file.Release) -> str:
    return f"all but {len(lock.unpinned)}" if lock.unpinned else "all"
