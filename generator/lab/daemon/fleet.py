"""Keeps machines, bridges and firewalls in step with what the account says, whoever or whatever changed either."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path

from generator.catalogue import SIZES
from generator.errors import Problem
from generator.lab.account import droplets, firewalls, reserved_ips, snapshots, volumes
from generator.lab.account.account import Account, Droplet, Snapshot
from generator.lab.daemon.config_drive import config_drive
from generator.lab.machines import borrowed, network, packet_filter
from generator.lab.machines import snapshots as copies
from generator.lab.machines import volumes as content
from generator.lab.machines.machine import Machine
from generator.lab.machines.port import Port
from generator.lab.policy import DropletPolicy
from generator.lab.state import State, anchor, read_record, write_record

_AT_ONCE = 4
_log = logging.getLogger(__name__)


class Fleet:
    """Compares and corrects; each droplet is worked on by one thread at a time.

    Args:
        state: the lab.
        account: what shall be.
        lock: held while the account is read or changed.
        root: the droplets' base root.
        layer: the lab's layer over it.
    """

    def __init__(self, state: State, account: Account, lock: threading.RLock, root: Path, layer: Path) -> None:
        self._state = state
        self._account = account
        self._lock = lock
        self._root = root
        self._layer = layer
        self._busy: set[int] = set()
        self._started: set[int] = set()
        self._bridges: set[IPv4Network] = set()
        self._counted = 0
        self._disks: Mapping[int, Mapping[str, tuple[str, int]]] = {}
        self._known: list[str] = []
        self._copied: tuple[list[int], set[Path]] = ([], set())
        self._policy: Mapping[int, DropletPolicy] | None = None
        self._anchors: Mapping[IPv4Address, IPv4Address] | None = None
        self._workers = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="droplet")

    def step(self) -> None:
        """Correct what differs; machines are started and stopped in the background."""
        with self._lock:
            self._account.forget(time.time())
            wanted = {droplet.id: droplet for droplet in self._account.living()}
            networks = {IPv4Network(vpc.ip_range) for vpc in self._account.vpcs.values()}
            disks = {
                droplet.id: {one.name: (one.id, one.size_gigabytes) for one in attached}
                for droplet in wanted.values()
                if (attached := volumes.plugged(self._account, droplet, time.time()))
            }
            known = [*self._account.volumes]
            copied = [*self._account.snapshots]
            for one in snapshots.wanted(self._account):
                if one.droplet not in wanted:
                    snapshots.fail(self._account, one.id, time.time())
            asked = {one.droplet: one for one in snapshots.wanted(self._account)}
            policy = {
                droplet.id: replace(rules, mac=self.port(droplet).vpc_mac)
                for droplet in wanted.values()
                if (rules := firewalls.policy(self._account, droplet)) is not None
            }
            anchors = {
                IPv4Address(ip): anchor(droplet.region, IPv4Address(droplet.public_address)).ip
                for ip, droplet in reserved_ips.working(self._account, time.time()).items()
            }
        if len(wanted) > self._counted:
            if limit := borrowed.watchers(self._state, len(wanted)):
                _log.info("the host lets root have %s inotify instances, until the last lab is down", limit)
            self._counted = len(wanted)
        for missing in networks - self._bridges:
            network.add_vpc(self._state, missing)
        # before any machine that it covers starts
        if policy != self._policy:
            packet_filter.apply_firewall(self._state, policy)
            self._policy = policy
        if anchors != self._anchors:
            packet_filter.apply_reserved(self._state, anchors)
            self._anchors = anchors
        self._disks = disks
        if known != self._known:
            content.keep(self._state, known)
            self._known = known
        machines = {machine.number: machine for machine in Machine.all(self._state)}
        for number in {*machines, *wanted} - self._busy:
            if number in asked and number in machines and not machines[number].is_running:
                self._busy.add(number)
                self._workers.submit(self._copy, machines[number], asked[number])
                continue
            self._consider(machines.get(number), wanted.get(number))
        used = {layer for one in machines.values() for layer in one.below}
        if (copied, used) != self._copied:
            copies.keep(self._state, copied, used)
            self._copied = (copied, used)
        for gone in self._bridges - networks:
            network.remove_vpc(self._state, gone)
        self._bridges = networks

    def close(self) -> None:
        """Let what is under way end, and begin nothing more."""
        self._workers.shutdown(wait=True, cancel_futures=True)

    def port(self, droplet: Droplet) -> Port:
        """Plan how a droplet is plugged in."""
        vpc = IPv4Network(self._account.vpcs[droplet.vpc].ip_range)
        address = IPv4Interface(f"{droplet.vpc_address}/{vpc.prefixlen}")
        return Port.planned(droplet.id, IPv4Address(droplet.public_address), address, droplet.region)

    def _consider(self, machine: Machine | None, droplet: Droplet | None) -> None:
        if droplet is None:
            if machine is not None:
                self._begin(machine.number, machine, None)
            return
        if droplet.failed:
            return
        applied = self._applied(droplet.id)
        changed = machine is None or applied != (droplet.boots, droplet.disks)
        running = machine is not None and machine.is_running
        if changed or running != droplet.power:
            if not changed and droplet.power and droplet.id in self._started:
                # it was on, and nobody asked for it to be off but itself
                with self._lock:
                    droplet.power = False
                return
            self._begin(droplet.id, machine, droplet)
        elif machine is not None and running and machine.plugged != self._sizes(droplet.id):
            self._begin(droplet.id, machine, droplet)

    def _sizes(self, number: int) -> dict[str, int]:
        return {name: gib for name, (_, gib) in self._disks.get(number, {}).items()}

    def _begin(self, number: int, machine: Machine | None, droplet: Droplet | None) -> None:
        self._busy.add(number)
        self._workers.submit(self._work, number, machine, droplet)

    def _copy(self, machine: Machine, one: Snapshot) -> None:
        """Make the snapshot of a machine that is off."""
        try:
            gigabytes = copies.take(self._state, one.id, machine.directory, machine.below)
            with self._lock:
                snapshots.made(self._account, one.id, gigabytes, time.time())
            _log.info("snapshot %s (%s) is made", one.id, one.name)
        except (Problem, OSError) as error:
            _log.error("snapshot %s: %s", one.id, error)
            with self._lock:
                snapshots.fail(self._account, one.id, time.time())
        finally:
            self._busy.discard(machine.number)

    def _work(self, number: int, machine: Machine | None, droplet: Droplet | None) -> None:
        try:
            if droplet is None:
                assert machine is not None
                machine.destroy()
                self._started.discard(number)
                _log.info("droplet %s is destroyed", number)
            else:
                self._correct(machine, droplet)
        except (Problem, OSError) as error:
            _log.error("droplet %s: %s", number, error)
            if droplet is not None:
                with self._lock:
                    droplets.fail(self._account, number, time.time())
        finally:
            self._busy.discard(number)

    def _correct(self, machine: Machine | None, droplet: Droplet) -> None:
        boots, disks, power = droplet.boots, droplet.disks, droplet.power
        applied = self._applied(droplet.id)
        if machine is None or applied is None or applied[1] != disks:
            if machine is not None:
                machine.kill()
            machine = self._create(droplet)
        was_on = machine.is_running
        if machine.is_running and (not power or applied != (boots, disks)):
            machine.kill()
        if power and not machine.is_running:
            machine.boot()
            self._started.add(droplet.id)
        write_record(machine.directory / "applied.json", {"boots": boots, "disks": disks})
        if power and machine.plugged != self._sizes(droplet.id):
            wanted = self._disks.get(droplet.id, {}).items()
            machine.plug({name: (content.provide(self._state, one, gib), gib) for name, (one, gib) in wanted})
        if applied != (boots, disks) or was_on != power:
            _log.info("droplet %s (%s) is %s", droplet.id, droplet.name, "on" if power else "off")

    def _create(self, droplet: Droplet) -> Machine:
        with self._lock:
            keys = [self._account.keys[number].public_key for number in droplet.keys if number in self._account.keys]
            drive = config_drive(droplet, keys, self._account.unkind.held_dpkg_lock)
            port = self.port(droplet)
        memory = SIZES[droplet.size].memory_mib
        source = int(droplet.image) if droplet.image.isdecimal() else None
        return Machine.create(self._state, port, memory, self._root, self._layer, drive, source)

    def _applied(self, number: int) -> tuple[int, int] | None:
        record = read_record(self._state.droplet(number) / "applied.json")
        return None if record is None else (int(record["boots"]), int(record["disks"]))
