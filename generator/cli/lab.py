"""`gen lab`: runs a DigitalOcean on this machine, and looks inside it."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from generator.cli.options import file_option, json_option, print_json
from generator.errors import Problem
from generator.lab import bringup
from generator.lab.about import ABOUT
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
def lab() -> None:
    """Run a DigitalOcean on this machine: API, Spaces, registries and droplets that really boot."""
    control.require_permission(State.default())


@lab.command()
@file_option
@click.option("--about", is_flag=True, help="Say what the lab is and what it can't prove; start nothing.")
@click.option("--seed", type=int, help="Where chance starts; random unless given.")
@click.option("--kind", is_flag=True, help="No lags, no failures, addresses in order.")
@click.option("--unkind", multiple=True, metavar="NAME=VALUE", help="Set one unkindness; a wrong name lists all.")
def up(file: Path, *, about: bool, seed: int | None, kind: bool, unkind: Sequence[str]) -> None:
    """Bring the lab up; run again, it comes back where it was."""
    if about:
        click.echo(ABOUT, nl=False)
        return
    moods = None
    if kind or unkind or seed is not None:
        chosen = random.SystemRandom().randrange(1 << 31) if seed is None else seed
        moods = adjust(KIND if kind else Unkindness(), [f"seed={chosen}", *unkind])
    state = State.default()
    with Display() as display:
        bringup.up(state, file, moods, display)
    answer = control.call(state, "status")
    click.echo(f"the lab is up: release {answer['release']}, seed {answer['seed']}", err=True)
    click.echo(f"  proxy       {answer['proxy']}", err=True)
    click.echo(f"  authority   {state.directory}/authority/ca.crt", err=True)
    click.echo("  next        gen launch --lab; gen lab status; gen lab up --about; gen lab down", err=True)


@lab.command()
def down() -> None:
    """Take the lab down; nothing of it stays but the cache, also after a crash."""
    state = State.default()
    with Display() as display:
        bringup.down(state, display)
    click.echo("the lab is down, nothing of it is left", err=True)


@lab.command()
@file_option
@click.option("--release", help="A release instead of the description's.")
@click.option("--all", "everything", is_flag=True, help="Without a description: build all from source.")
def build(file: Path, release: str | None, *, everything: bool) -> None:
    """Have everything at hand that the lab serves: fetched, or built from source, once."""
    state = State.default()
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
def status(*, as_json: bool) -> None:
    """Show droplets, services and how to reach them."""
    state = State.default()
    if bringup.daemon(state) is None and (found := host.leftovers(state)):
        raise Problem(f"no daemon runs, but of a lab {len(found)} things are left", hint="gen lab up, or gen lab down")
    answer = control.call(state, "status")
    if as_json:
        print_json(answer)
        return
    table = Table("droplet", "status", "machine", "public", "VPC", "size", box=None, pad_edge=False)
    for droplet in answer["droplets"]:
        state_of = "failed" if droplet["failed"] else "on" if droplet["running"] else "off"
        row = (droplet["name"], droplet["status"], state_of, droplet["public"], droplet["private"], droplet["size"])
        table.add_row(*row)
    Console(highlight=False).print(table)
    services = ", ".join(f"{name} {word}" for name, word in answer["services"].items())
    click.echo(f"services: {services}\nproxy: {answer['proxy']}\nrelease: {answer['release']}, seed {answer['seed']}")


@lab.command(context_settings={"ignore_unknown_options": True})
@click.argument("node")
@click.argument("command", nargs=-1, type=click.UNPROCESSED, required=True)
def exec(node: str, command: Sequence[str]) -> int:
    """Run a command inside a droplet: gen lab exec node01 -- journalctl -u etcd."""
    machine = _machine(_droplet(node))
    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TERM": "linux"}
    return subprocess.run(machine.command(list(command), terminal=terminal), check=False, env=environment).returncode


@lab.command()
@click.argument("node", required=False)
@click.option("--proxy", "of_proxy", is_flag=True, help="The proxy's address instead.")
@click.option("--private", is_flag=True, help="The VPC address.")
def address(node: str | None, *, of_proxy: bool, private: bool) -> None:
    """Print a droplet's public address."""
    if of_proxy:
        click.echo(control.call(State.default(), "status")["proxy"])
    elif node:
        click.echo(_droplet(node)["private" if private else "public"])
    else:
        raise click.UsageError("name a droplet, or --proxy")


@lab.command()
@click.argument("what")
@click.option("-f", "--follow", is_flag=True, help="Go on as lines come.")
@click.option("-n", "--lines", type=int, help="The last lines only.")
def logs(what: str, *, follow: bool, lines: int | None) -> int:
    """Print a log: `api` (JSON lines), `daemon`, `front`, another service, or a droplet's console."""
    directory = State.default().directory / "logs"
    named = [path for path in (directory / f"{what}.jsonl", directory / f"{what}.log") if path.exists()]
    path = named[0] if named else Path(_droplet(what)["directory"]) / "console.log"
    argv = ["tail", f"--lines={'+1' if lines is None else lines}", *(["--follow=name"] if follow else []), str(path)]
    return subprocess.run(argv, check=False).returncode


@lab.command()
@click.argument("port", type=click.IntRange(0, 65535))
@click.argument("node", required=False)
@click.option("--to", type=click.IntRange(1, 65535), default=80, show_default=True, help="The droplet's port.")
def forward(port: int, node: str | None, to: int) -> None:
    """Lead a local port to a droplet's port 80 until interrupted; without NODE to the first droplet there is."""
    state = State.default()

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
    relay = proxy.Relay(listener, proxy.forward(target, netns.connect))
    click.echo(f"http://127.0.0.1:{relay.port}/ leads to {node or 'the first droplet'}:{to}; Ctrl-C ends it", err=True)
    try:
        threading.Event().wait()
    finally:
        relay.close()


@lab.command("power-cycle")
@click.argument("nodes", nargs=-1)
@click.option("--all", "everyone", is_flag=True, help="All droplets, at once.")
def power_cycle(nodes: Sequence[str], *, everyone: bool) -> None:
    """Cut droplets' power and switch them on again, with the same disks and addresses."""
    found = control.call(State.default(), "list")["droplets"] if everyone else [_droplet(node) for node in nodes]
    if not found:
        raise click.UsageError("name droplets, or --all")
    control.call(State.default(), "power-cycle", numbers=[droplet["id"] for droplet in found])


@lab.command()
@click.argument("service", type=click.Choice(SERVICES))
def stop(service: str) -> None:
    """Stop a service, to play an outage."""
    control.call(State.default(), "switch", service=service, on=False)


@lab.command()
@click.argument("service", type=click.Choice(SERVICES))
def start(service: str) -> None:
    """Start a stopped service again."""
    control.call(State.default(), "switch", service=service, on=True)


@lab.command()
@click.argument("switch", type=_on_off)
def spoofing(switch: str) -> None:
    """Let frames with foreign source addresses pass the VPC (`on`), or drop them (`off`, as the provider says)."""
    control.call(State.default(), "antispoof", on=switch == "off")


@lab.command("fail-creates")
@click.argument("count", type=click.IntRange(0, 100), default=1)
def fail_creates(count: int) -> None:
    """Have the next COUNT droplet creations answer 500 although they happen."""
    control.call(State.default(), "fail-creates", count=count)


@lab.group()
def droplet() -> None:
    """Make and destroy droplets past the API, as somebody in the control panel would."""


@droplet.command("create")
@click.argument("name")
@click.option("--vpc-of", metavar="NODE", help="Put it into the VPC of this droplet.")
def create(name: str, vpc_of: str | None) -> None:
    """Make a droplet without user-data that belongs to no cluster."""
    beside = _droplet(vpc_of)["id"] if vpc_of else None
    control.call(State.default(), "create", name=name, beside=beside)


@droplet.command("delete")
@click.argument("name")
def delete(name: str) -> None:
    """Destroy a droplet."""
    control.call(State.default(), "delete", number=_droplet(name)["id"])


@lab.group("spaces")
def spaces_group() -> None:
    """Look into the lab's Spaces."""


@spaces_group.command("list")
def list_objects() -> None:
    """Print every object as `bucket/key`."""
    state = State.default()
    for region in Settings.read(state).regions:
        objects = spaces(state, region) / "objects"
        for path in sorted(objects.rglob("*")):
            name = path.relative_to(objects)
            own = name.parts[0].startswith(".") or ".sgwtmp" in name.parts  # versitygw's; no bucket starts with a dot
            if path.is_file() and len(name.parts) > 1 and not own:
                click.echo(str(name))


def _droplet(name: str) -> dict[str, Any]:
    found = [entry for entry in control.call(State.default(), "list")["droplets"] if entry["name"] == name]
    if not found:
        raise Problem(f"there is no droplet `{name}`", hint="gen lab status")
    return dict(found[-1])


def _machine(droplet_: dict[str, Any]) -> Machine:
    machine = Machine.load(State.default(), int(droplet_["id"]))
    if machine is None:
        raise Problem(f"the droplet `{droplet_['name']}` has no machine yet")
    return machine
