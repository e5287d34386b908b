"""`gen lab`: runs a DigitalOcean on this machine, and looks inside it."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from generator.cli.breaking import break_
from generator.cli.options import file_option, json_option, print_json
from generator.cli.table import text_table
from generator.errors import Problem
from generator.lab import bringup
from generator.lab.about import about as tell
from generator.lab.daemon import control
from generator.lab.display import Display
from generator.lab.machines import host, netns
from generator.lab.machines.machine import Machine
from generator.lab.services import proxy
from generator.lab.services.supervisor import SERVICES, spaces
from generator.lab.settings import Settings
from generator.lab.state import State
from generator.lab.unkindness import KIND, Unkindness, adjust
from generator.lab.webserver import tcp_listener

_on_off = click.Choice(["on", "off"])


@click.group()
@click.option("--name", metavar="NAME", help="Which lab; `HARDWAY_LAB`, or this directory's, unless given.")
@click.pass_context
def lab(context: click.Context, name: str | None) -> None:
    """Run a DigitalOcean on this machine: API, Spaces, registries and droplets that really boot.

    A directory has a lab of its own, and any number of labs run side by side.
    """
    context.obj = State.named(name)
    control.require_permission(context.obj)


lab.add_command(break_)


@lab.command()
@file_option
@click.option("--about", is_flag=True, help="Say what the lab is and what it can't prove; start nothing.")
@click.option("--seed", type=int, help="Where chance starts; random unless given.")
@click.option("--kind", is_flag=True, help="No lags, no failures, addresses in order.")
@click.option("--unkind", multiple=True, metavar="NAME=VALUE", help="Set one unkindness; a wrong name lists all.")
@click.pass_obj
def up(state: State, file: Path, *, about: bool, seed: int | None, kind: bool, unkind: Sequence[str]) -> None:
    """Bring the lab up; run again, it comes back where it was."""
    if about:
        click.echo(tell(), nl=False)
        return
    moods = None
    if kind or unkind or seed is not None:
        chosen = random.SystemRandom().randrange(1 << 31) if seed is None else seed
        moods = adjust(KIND if kind else Unkindness(), [f"seed={chosen}", *unkind])
    with Display() as display:
        bringup.up(state, file, moods, display)
    answer = control.call(state, "status")
    click.echo(f"the lab `{state.name}` is up: release {answer['release']}, seed {answer['seed']}", err=True)
    click.echo(f"  proxy       {answer['proxy']}", err=True)
    click.echo(f"  authority   {state.directory}/authority/ca.crt", err=True)
    click.echo("  next        gen launch --lab; gen lab status; gen lab up --about; gen lab down", err=True)


@lab.command()
@click.option("--all", "everyone", is_flag=True, help="Every lab of this machine.")
@click.pass_obj
def down(state: State, *, everyone: bool) -> None:
    """Take the lab down; nothing of it stays but the cache, also after a crash."""
    for each in State.all(state) if everyone else (state,):
        with Display() as display:
            bringup.down(each, display)
        click.echo(f"the lab `{each.name}` is down, nothing of it is left", err=True)


@lab.command("list")
@json_option
@click.pass_obj
def list_labs(state: State, *, as_json: bool) -> None:
    """Show every lab of this machine, also what is left of one."""
    found = [bringup.describe(each) for each in State.all(state)]
    if as_json:
        print_json(found)
        return
    keys = ("name", "is", "release", "droplets", "proxy", "made_in")
    rows = [tuple("-" if row[key] is None else row[key] for key in keys) for row in found]
    click.echo(text_table(("LAB", "IS", "RELEASE", "DROPLETS", "PROXY", "MADE IN"), rows))


@lab.command()
@file_option
@click.option("--release", help="A release instead of the description's.")
@click.option("--all", "everything", is_flag=True, help="Without a description: build all from source.")
@click.pass_obj
def build(state: State, file: Path, release: str | None, *, everything: bool) -> None:
    """Have everything at hand that the lab serves: fetched, or built from source, once."""
    described = bringup.release_of(file)
    name = release or described
    if name is None and everything:
        name = f"{bringup.RELEASE}-source"
    if name is None:
        raise Problem("there is no description", where=str(file), hint="gen init, or `--release`, or `--all`")
    with Display() as display:
        bringup.make(state, name, file.parent if described or release else None, display)


@lab.command()
@json_option
@click.pass_obj
def status(state: State, *, as_json: bool) -> None:
    """Show droplets, services and how to reach them."""
    if bringup.daemon(state) is None and (found := host.leftovers(state)):
        raise Problem(f"no daemon runs, but of a lab {len(found)} things are left", hint="gen lab up, or gen lab down")
    answer = control.call(state, "status")
    if as_json:
        print_json(answer)
        return
    table = Table("droplet", "status", "machine", "public", "VPC", "size", box=None, pad_edge=False)
    for droplet in answer["droplets"]:
        power = "failed" if droplet["failed"] else "on" if droplet["running"] else "off"
        row = (droplet["name"], droplet["status"], power, droplet["public"], droplet["private"], droplet["size"])
        table.add_row(*row)
    Console(highlight=False).print(table)
    services = ", ".join(f"{name} {word}" for name, word in answer["services"].items())
    click.echo(f"services: {services}\nproxy: {answer['proxy']}\nrelease: {answer['release']}, seed {answer['seed']}")


@lab.command(context_settings={"ignore_unknown_options": True})
@click.argument("node")
@click.argument("command", nargs=-1, type=click.UNPROCESSED, required=True)
@click.pass_obj
def exec(state: State, node: str, command: Sequence[str]) -> int:
    """Run a command inside a droplet: gen lab exec node01 -- journalctl -u etcd."""
    machine = _machine(state, _droplet(state, node))
    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TERM": "linux"}
    return subprocess.run(machine.command(list(command), terminal=terminal), check=False, env=environment).returncode


@lab.command()
@click.argument("node", required=False)
@click.option("--proxy", "of_proxy", is_flag=True, help="The proxy's address instead.")
@click.option("--private", is_flag=True, help="The VPC address.")
@click.pass_obj
def address(state: State, node: str | None, *, of_proxy: bool, private: bool) -> None:
    """Print a droplet's public address."""
    if of_proxy:
        click.echo(control.call(state, "status")["proxy"])
    elif node:
        click.echo(_droplet(state, node)["private" if private else "public"])
    else:
        raise click.UsageError("name a droplet, or --proxy")


@lab.command()
@click.argument("what")
@click.option("-f", "--follow", is_flag=True, help="Go on as lines come.")
@click.option("-n", "--lines", type=int, help="The last lines only.")
@click.pass_obj
def logs(state: State, what: str, *, follow: bool, lines: int | None) -> int:
    """Print a log: `api` (JSON lines), `daemon`, `front`, another service, or a droplet's console."""
    directory = state.directory / "logs"
    named = [path for path in (directory / f"{what}.jsonl", directory / f"{what}.log") if path.exists()]
    path = named[0] if named else Path(_droplet(state, what)["directory"]) / "console.log"
    argv = ["tail", f"--lines={'+1' if lines is None else lines}", *(["--follow=name"] if follow else []), str(path)]
    return subprocess.run(argv, check=False).returncode


@lab.command()
@click.argument("port", type=click.IntRange(0, 65535))
@click.argument("node", required=False)
@click.option("--to", type=click.IntRange(1, 65535), default=443, show_default=True, help="The droplet's port.")
@click.pass_obj
def forward(state: State, port: int, node: str | None, to: int) -> None:
    """Lead a local port to a droplet's port 443 until interrupted; without NODE to the first droplet there is."""

    def target() -> proxy.Address | None:
        found = control.call(state, "list")["droplets"]
        chosen = next((entry for entry in found if node in (None, entry["name"])), None)
        return (str(chosen["public"]), to) if chosen else None

    if target() is None:
        raise Problem(f"there is no droplet `{node}`" if node else "there is no droplet")
    try:
        listener = tcp_listener("127.0.0.1", port)
    except OSError as error:
        raise Problem(f"port {port} can't be had: {error.strerror}") from error
    relay = proxy.Relay(listener, proxy.forward(target, partial(netns.connect, state)))
    click.echo(f"127.0.0.1:{relay.port} leads to {node or 'the first droplet'}:{to}; Ctrl-C ends it", err=True)
    try:
        threading.Event().wait()
    finally:
        relay.close()


@lab.command("power-cycle")
@click.argument("nodes", nargs=-1)
@click.option("--all", "everyone", is_flag=True, help="All droplets, at once.")
@click.pass_obj
def power_cycle(state: State, nodes: Sequence[str], *, everyone: bool) -> None:
    """Cut droplets' power and switch them on again, with the same disks and addresses."""
    found = control.call(state, "list")["droplets"] if everyone else [_droplet(state, node) for node in nodes]
    if not found:
        raise click.UsageError("name droplets, or --all")
    control.call(state, "power-cycle", numbers=[droplet["id"] for droplet in found])


@lab.command()
@click.argument("service", type=click.Choice(SERVICES))
@click.pass_obj
def stop(state: State, service: str) -> None:
    """Stop a service, to play an outage."""
    control.call(state, "switch", service=service, on=False)


@lab.command()
@click.argument("service", type=click.Choice(SERVICES))
@click.pass_obj
def start(state: State, service: str) -> None:
    """Start a stopped service again."""
    control.call(state, "switch", service=service, on=True)


@lab.command()
@click.argument("switch", type=_on_off)
@click.pass_obj
def spoofing(state: State, switch: str) -> None:
    """Let frames with foreign source addresses pass the VPC (`on`), or drop them (`off`, as the provider says)."""
    control.call(state, "antispoof", on=switch == "off")


@lab.command("fail-creates")
@click.argument("count", type=click.IntRange(0, 100), default=1)
@click.pass_obj
def fail_creates(state: State, count: int) -> None:
    """Have the next COUNT droplet creations answer 500 although they happen."""
    control.call(state, "fail-creates", count=count)


@lab.command("unkind")
@click.argument("settings", metavar="NAME=VALUE...", nargs=-1, required=True)
@click.pass_obj
def unkind_(state: State, settings: Sequence[str]) -> None:
    """Change how unkind the lab is while it runs; `gen lab up --unkind` does it for good."""
    adjust(Unkindness(), settings)
    control.call(state, "unkind", settings=list(settings))


@lab.group()
def droplet() -> None:
    """Make and destroy droplets past the API, as somebody in the control panel would."""


@droplet.command("create")
@click.argument("name")
@click.option("--vpc-of", metavar="NODE", help="Put it into the VPC of this droplet.")
@click.pass_obj
def create(state: State, name: str, vpc_of: str | None) -> None:
    """Make a droplet without user-data that belongs to no cluster."""
    beside = _droplet(state, vpc_of)["id"] if vpc_of else None
    control.call(state, "create", name=name, beside=beside)


@droplet.command("delete")
@click.argument("name")
@click.pass_obj
def delete(state: State, name: str) -> None:
    """Destroy a droplet."""
    control.call(state, "delete", number=_droplet(state, name)["id"])


@lab.group("spaces")
def spaces_group() -> None:
    """Look into the lab's Spaces."""


@spaces_group.command("list")
@click.pass_obj
def list_objects(state: State) -> None:
    """Print every object as `bucket/key`."""
    for region in Settings.read(state).regions:
        objects = spaces(state, region) / "objects"
        for path in sorted(objects.rglob("*")):
            name = path.relative_to(objects)
            own = name.parts[0].startswith(".") or ".sgwtmp" in name.parts  # versitygw's; no bucket starts with a dot
            if path.is_file() and len(name.parts) > 1 and not own:
                click.echo(str(name))


def _droplet(state: State, name: str) -> dict[str, Any]:
    found = [entry for entry in control.call(state, "list")["droplets"] if entry["name"] == name]
    if not found:
        raise Problem(f"there is no droplet `{name}`", hint="gen lab status")
    return dict(found[-1])


def _machine(state: State, droplet_: dict[str, Any]) -> Machine:
    machine = Machine.load(state, int(droplet_["id"]))
    if machine is None:
        raise Problem(f"the droplet `{droplet_['name']}` has no machine yet")
    return machine
