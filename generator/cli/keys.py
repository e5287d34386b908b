"""`gen keys`: hands a cluster's keys to whoever takes over, sealed by age, and takes them in."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from generator.cli.options import file_option, say
from generator.errors import Problem
from generator.files import write_atomic
from generator.plan.project import Project

LIMIT_BYTES = 64 * 1024
"""Of a file of identities or a passphrase."""

passphrase_option = click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Read the passphrase from this file instead of asking for it.",
)


@click.group()
def keys() -> None:
    """Hand a cluster's keys to whoever takes over, or to CI, and take them in: one file, sealed by age."""


@keys.command()
@click.argument("target", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False))
@file_option
@click.option(
    "--recipient",
    "-r",
    "recipients",
    multiple=True,
    help="Who may open it: `age1…`, or an SSH public key; repeat it.",
)
@passphrase_option
def export(target: Path, *, file: Path, recipients: tuple[str, ...], passphrase_file: Path | None) -> None:
    """Write everything secret of the cluster into FILE, for recipients or behind a passphrase.

    `age -d FILE | tar -x` opens it too, in the directory where they belong.
    """
    from generator.pki import transfer

    project = Project.load(file)
    if target.exists():
        raise Problem("is there already", where=str(target), hint="name another file, or move that one away")
    if not target.absolute().parent.is_dir():
        raise Problem("there is no such directory", where=str(target.absolute().parent))
    if recipients and passphrase_file:
        raise Problem("recipients and a passphrase are two ways", hint="leave one of them out")
    files = transfer.collect(project.keys_path)
    passphrase = None if recipients else _passphrase(passphrase_file, again=True)
    write_atomic(target, transfer.seal(files, recipients=recipients, passphrase=passphrase), mode=0o600)
    whom = f"{len(recipients)} recipients" if recipients else "whoever has the passphrase"
    say(f"{target} has {len(files)} files of {project.plan.name}, for {whom}: it is the cluster, keep it so")


@keys.command("import")
@click.argument("source", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@file_option
@click.option(
    "--identity",
    "-i",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Open it with this file of `age-keygen`, or this private key of SSH.",
)
@passphrase_option
def import_(source: Path, *, file: Path, identity: Path | None, passphrase_file: Path | None) -> None:
    """Take the keys in FILE in; none that is there is written over."""
    from generator.pki import transfer
    from generator.pki.store import KeyStore

    project = Project.load(file)
    identities = _text(identity) if identity else None
    passphrase = None if identity else _passphrase(passphrase_file, again=False)
    files = transfer.unseal(source.read_bytes(), str(source), identities=identities, passphrase=passphrase)
    known = project.inventory.cluster_id if project.inventory else None
    written = transfer.restore(project.keys_path, files, known)
    say(f"{len(written)} files were missing in {project.keys_path}, and are there now; {len(files)} are in {source}")
    if project.inventory is not None:
        KeyStore.open(project.keys_path, project.plan, project.inventory)
        say("they are what the committed inventory tells of")


def _text(file: Path) -> str:
    """Read a short text that a person names."""
    try:
        return file.read_bytes()[:LIMIT_BYTES].decode()
    except (OSError, UnicodeDecodeError) as error:
        raise Problem(f"can't be read as text ({type(error).__name__})", where=str(file)) from None


def _passphrase(file: Path | None, *, again: bool) -> str:
    if file is not None:
        return _text(file).rstrip("\n")
    if not sys.stdin.isatty():
        raise Problem("nobody is there to be asked for a passphrase", hint="`--passphrase-file FILE`, or age's keys")
    return str(click.prompt("Passphrase", hide_input=True, confirmation_prompt=again, err=True))
