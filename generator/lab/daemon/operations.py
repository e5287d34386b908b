"""Says what the command line may ask of the daemon."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from generator.errors import Problem
from generator.lab.account import droplets
from generator.lab.account.account import Account, Droplet, Refusal, timestamp
from generator.lab.daemon.control import Operation
from generator.lab.daemon.loop import Daemon
from generator.lab.machines import network, packet_filter
from generator.lab.machines.machine import Machine
from generator.lab.process import Process
from generator.lab.state import read_record
from generator.lab.unkindness import adjust

_STRANGER = {"region": "fra1", "size": "s-1vcpu-1gb", "image": "debian-13-x64"}


def table(daemon: Daemon) -> Mapping[str, Operation]:
    """Give all operations by name."""
    return {
        "stage": lambda _: {"stage": daemon.stage},
        "status": lambda _: status(daemon),
        "list": lambda _: {"droplets": droplets_of(daemon)},
        "switch": lambda asked: switch(daemon, str(asked["service"]), on=bool(asked["on"])),
        "power-cycle": lambda asked: power_cycle(daemon, list(asked["numbers"])),
        "antispoof": lambda asked: antispoof(daemon, on=bool(asked["on"])),
        "fail-creates": lambda asked: fail_creates(daemon, int(asked["count"])),
        "unkind": lambda asked: unkind(daemon, list(asked["settings"])),
        "create": lambda asked: create(daemon, str(asked["name"]), asked.get("beside")),
        "delete": lambda asked: delete(daemon, int(asked["number"])),
        "shutdown": lambda _: shutdown(daemon),
    }


def status(daemon: Daemon) -> Mapping[str, Any]:
    """Describe the lab as it is now."""
    record = read_record(daemon.state.directory / "daemon.json")
    assert record is not None
    with daemon.api.lock:
        vpcs = [{"name": vpc.name, "ip_range": vpc.ip_range} for vpc in daemon.account.vpcs.values() if not vpc.default]
        walls = [firewall.name for firewall in daemon.account.firewalls.values()]
    return {
        "version": 1,
        "name": daemon.state.name,
        "stage": daemon.stage,
        "daemon": {"pid": Process.from_record(record).pid},
        "release": daemon.settings.release,
        "seed": daemon.settings.unkind.seed,
        "proxy": f"http://127.0.0.1:{daemon.proxy_port}",
        "services": dict(daemon.services.status()),
        "droplets": [{**facts, "running": _is_running(daemon, facts["id"])} for facts in droplets_of(daemon)],
        "vpcs": vpcs,
        "firewalls": walls,
        "tags": sorted(daemon.account.tags),
        "antispoof": network.antispoof_is_on(daemon.state),
        "spoofed_frames": packet_filter.spoofed_frames(daemon.state) if daemon.stage == "up" else 0,
    }


def droplets_of(daemon: Daemon) -> list[dict[str, Any]]:
    """Describe the droplets as the account knows them, the oldest first."""
    now = time.time()
    with daemon.api.lock:
        return [_facts(daemon, droplet, now) for droplet in daemon.account.living()]


def switch(daemon: Daemon, service: str, *, on: bool) -> Mapping[str, Any]:
    """Stop a service, or start it again."""
    daemon.in_main_thread(lambda: daemon.services.switch(service, on=on))
    return {}


def power_cycle(daemon: Daemon, numbers: list[int]) -> Mapping[str, Any]:
    """Cut droplets' power and give it back, all at once; the account sees nothing of it."""
    with daemon.api.lock:
        failed = [daemon.account.droplets[number].name for number in numbers if daemon.account.droplets[number].failed]
        if failed:
            raise Problem(f"never started: {', '.join(failed)}", hint="gen lab logs daemon")
        for number in numbers:
            droplet = daemon.account.droplets[number]
            droplet.boots += 1
            droplet.power = True
        wanted = {number: daemon.account.droplets[number].boots for number in numbers}
        daemon.touch()
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        records = {number: read_record(daemon.state.droplet(number) / "applied.json") for number in numbers}
        if all(record and record["boots"] >= wanted[number] for number, record in records.items()):
            return {}
        time.sleep(0.05)
    raise Problem("not all droplets came back", hint="gen lab logs daemon")


def antispoof(daemon: Daemon, *, on: bool) -> Mapping[str, Any]:
    """Drop frames with foreign source addresses in the VPCs, or let them pass."""
    network.set_antispoof(daemon.state, on)
    return {}


def fail_creates(daemon: Daemon, count: int) -> Mapping[str, Any]:
    """Have the next droplet creations answer 500 although they happen."""
    with daemon.api.lock:
        daemon.account.failed_creates = daemon.account.unkind.failing_creates - count
        daemon.touch()
    return {}


def unkind(daemon: Daemon, settings: list[str]) -> Mapping[str, Any]:
    """Be as unkind as said from now on, until the daemon starts again."""
    with daemon.api.lock:
        daemon.account.unkind = adjust(daemon.account.unkind, settings)
        daemon.touch()
    return {}


def create(daemon: Daemon, name: str, beside: int | None) -> Mapping[str, Any]:
    """Make a droplet that belongs to nobody's cluster, if wished in the VPC of another one."""
    with daemon.api.lock:
        account = daemon.account
        order: dict[str, Any] = {**_STRANGER, "name": name}
        if beside is not None:
            neighbour = account.droplets[beside]
            order |= {"vpc_uuid": neighbour.vpc, "region": neighbour.region}
        number = _order(account, order).id
        daemon.touch()
    return {"number": number}


def delete(daemon: Daemon, number: int) -> Mapping[str, Any]:
    """Destroy a droplet as if somebody had clicked it away."""
    with daemon.api.lock:
        droplets.end(daemon.account, daemon.account.droplets[number], time.time())
        daemon.touch()
    return {}


def shutdown(daemon: Daemon) -> Mapping[str, Any]:
    """End the daemon."""
    daemon.stop()
    return {}


def _order(account: Account, order: Mapping[str, Any]) -> Droplet:
    try:
        return droplets.create(account, order, time.time())[0]
    except Refusal as refusal:
        if refusal.status < 500:
            raise Problem(refusal.message) from refusal
        # made all the same, and for once nobody is to be misled
        account.failed_creates -= 1
        return account.living()[-1]


def _facts(daemon: Daemon, droplet: Droplet, now: float) -> dict[str, Any]:
    return {
        "id": droplet.id,
        "name": droplet.name,
        "status": droplets.status(droplet, now),
        "failed": droplet.failed,
        "public": droplet.public_address,
        "private": droplet.vpc_address,
        "namespace": daemon.state.droplet_namespace(droplet.id),
        "size": droplet.size,
        "tags": droplet.tags,
        "created": timestamp(droplet.created),
        "boots": droplet.boots + 1,
        "directory": str(daemon.state.droplet(droplet.id)),
    }


def _is_running(daemon: Daemon, number: int) -> bool:
    machine = Machine.load(daemon.state, number)
    return machine is not None and machine.is_running
