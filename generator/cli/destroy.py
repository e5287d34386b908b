"""`gen destroy`: removes everything that launch made."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import click

from generator.cli.options import Factory, connect, end_on_signal, lab_option, optional_file_option, say
from generator.description.load import DESCRIPTION
from generator.errors import Problem, Problems
from generator.plan.inventory import OPERATOR_KEY
from generator.plan.project import committed_inventory
from generator.release import baked


@click.command()
@click.argument("name", required=False)
@optional_file_option
@lab_option
@click.option("--yes", metavar="NAME", help="Do not ask; NAME has to be the cluster's.")
@click.option(
    "--bucket", metavar="BUCKET", help="Vouch that the bucket which the VPC's description names is this cluster's."
)
@click.option("--volumes", metavar="NAME", help="Delete its volumes too, with all data; NAME has to be the cluster's.")
@click.option(
    "--address",
    "addresses",
    metavar="ADDRESS",
    multiple=True,
    help="Give this reserved address back too, though no roster of the cluster has it.",
)
@click.option("--delete-bucket", is_flag=True, help="Delete the bucket too, if nothing is left in it.")
@click.pass_obj
def destroy(
    factory: Factory | None,
    *,
    name: str | None,
    file: Path | None,
    lab: str | None,
    yes: str | None,
    bucket: str | None,
    volumes: str | None,
    addresses: tuple[str, ...],
    delete_bucket: bool,
) -> int:
    """Remove everything that launch made, and prove that nothing is left.

    With NAME and without a description the cluster is found by the account alone. Beside an inventory of that
    name, another cluster of the name is not touched.
    """
    from generator.clock import Clock
    from generator.cluster.destroy import Destroyer, lines

    end_on_signal()
    connection = connect(factory, lab=lab)
    name, described = _described(name, file)
    if name is None:
        raise Problem("which cluster?", hint=f"`gen destroy NAME`, or run it beside its {DESCRIPTION}")
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", name):
        raise Problem(f"`{name}` is no cluster's name")
    if yes is not None and yes != name:
        raise Problem(f"`--yes {yes}` is not the cluster's name", hint=f"it is `{name}`")
    if volumes is not None and volumes != name:
        raise Problem(f"`--volumes {volumes}` is not the cluster's name", hint=f"it is `{name}`")
    committed = committed_inventory(file or DESCRIPTION, name)
    destroyer = Destroyer(
        name,
        connection,
        Clock(),
        say,
        bucket=described,
        vouched_bucket=bucket,
        volumes=volumes is not None,
        addresses=addresses,
        cluster_id=committed.cluster_id if committed else None,
        operator_public_key=(committed.public(OPERATOR_KEY) or None) if committed else None,
    )
    remains = destroyer.find()
    strangers = destroyer.strangers(remains)
    going, kept = destroyer.split(remains)
    listed = lines(going)
    if not listed:
        if destroyer.trouble:
            raise destroyer.trouble
        say(f"nothing of {name} is there" + (", but for its volumes" if kept else ""))
        _say_what_is_kept(name, kept)
        if line := destroyer.end_bucket(delete=delete_bucket):
            say(line)
        _say_what_it_was_made_of(name, file)
        return 0
    for line in listed:
        say(f"  {line}")
    if kept:
        say("and these stay, with all data:")
        for line in kept:
            say(f"  {line}")
    if strangers:
        say("and these stay; `--address ADDRESS` gives one back as well:")
        for line in strangers:
            say(f"  {line}")
    if destroyer.trouble:
        say(f"warning: {destroyer.trouble.message}; everything else goes first")
    if yes is None:
        _confirm_name(name)
        if destroyer.staying(remains) and (vouched := _ask_for_bucket()):
            destroyer.vouch(vouched)
            remains = destroyer.find()
    staying = destroyer.staying(remains)
    destroyer.destroy(remains)
    what = (
        "no droplet, firewall, key, tag or object"
        if destroyer.left
        else "no droplet, firewall, VPC, key, tag or object"
    )
    say(f"{name} is gone: {what} of it is left")
    for line in destroyer.left:
        say(f"what stays is {line}")
    if line := destroyer.end_bucket(delete=delete_bucket):
        say(line)
    for line in staying:
        say(f"warning: but for {line}")
    _say_what_is_kept(name, kept)
    _say_what_it_was_made_of(name, file)
    for line in strangers:
        say(f"warning: but for {line}")
    return 0 if destroyer.is_sure else 1


def _described(name: str | None, file: Path | None) -> tuple[str | None, tuple[str, str] | None]:
    """Read name and bucket of the cluster to destroy; a name needs no description, so a broken one is passed over."""
    from generator.description.load import load as load_description

    path = file or DESCRIPTION
    if file is None and not path.exists():
        return name, None
    try:
        spec = load_description(path)
    except (Problem, Problems):
        if name is None or file is not None:
            raise
        say(f"warning: {path} is broken, as `gen check` shows; going on by the name alone")
        return name, None
    if name in (None, spec.name):
        return spec.name, (spec.spaces.bucket, spec.spaces.region)
    if file is not None:
        raise Problem(f"describes `{spec.name}`, not `{name}`", where=str(file))
    return name, None


def _say_what_is_kept(name: str, kept: Sequence[str]) -> None:
    for line in kept:
        say(f"{line} stays with its data, and the next launch of this cluster takes it up again")
    if kept:
        say(f"`gen destroy {name} --volumes {name}` deletes them")


def _say_what_it_was_made_of(name: str, file: Path | None) -> None:
    """Say that a baked image stays: other clusters may be made of it."""
    from generator.description.load import load as load_description

    with suppress(Problem, Problems):
        spec = load_description(file or DESCRIPTION)
        if spec.name == name and baked.read(spec.image):
            kept = f"the snapshot {spec.image} stays, and costs"
            say(f"{kept}; once `image` is another one, `gen bake --prune` deletes it")


def _confirm_name(name: str) -> None:
    if not sys.stdin.isatty():
        raise Problem("nobody is there to be asked", hint=f"`--yes {name}` destroys without asking")
    if click.prompt("Type the cluster's name to destroy it", err=True) != name:
        raise Problem("that is not its name; nothing was done")


def _ask_for_bucket() -> str:
    question = "Type the bucket's name to delete these objects too, or nothing to leave them"
    return str(click.prompt(question, err=True, default="", show_default=False))
