"""The lab's one process: owns services, account, metadata and proxy, and keeps the machines as the account says.

Whatever it knows lies in the state directory, and machines outlive it: a daemon that was killed is followed by another
that goes on where it was.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from functools import partial
from typing import Any

from generator.errors import Problem
from generator.files import write_atomic
from generator.lab.account import account as accounts
from generator.lab.account import reserved_ips, vpcs
from generator.lab.account.account import Account
from generator.lab.account.api import Api
from generator.lab.daemon import control
from generator.lab.daemon.config_drive import vendor_data
from generator.lab.daemon.control import Operation
from generator.lab.daemon.fleet import Fleet
from generator.lab.machines import netns, network, root
from generator.lab.services import limited_keys
from generator.lab.services.authority import Authority
from generator.lab.services.hosts import Hosts
from generator.lab.services.metadata import Facts, Metadata
from generator.lab.services.proxy import Relay, proxy
from generator.lab.services.supervisor import Services, spaces
from generator.lab.settings import FIRST_PROXY_PORT, Settings, credentials
from generator.lab.state import (
    METADATA_ADDRESS,
    SERVICES_ADDRESS,
    State,
    read_record,
    write_record,
)
from generator.lab.webserver import Server, tcp_listener

_TICK_SECONDS = 0.25
_log = logging.getLogger(__name__)


class Daemon:
    """Holds the lab together; `run` returns when it is told to stop."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.settings = Settings.read(state)
        self.keys = credentials(state)
        self.account = self._load_account()
        self.hosts = Hosts.of(self.settings.hosts)
        self.authority = Authority(state.directory / "authority")
        self.api = Api(self.account, self.keys.token, state.directory / "logs" / "api.jsonl", self._changed)
        self.services = Services(state, self.settings, self.keys, self.api.respond)
        self.stage = "starting"
        self.proxy_port = 0
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._tasks: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = queue.SimpleQueue()

    def run(self, operations: Callable[[Daemon], Mapping[str, Operation]]) -> None:
        """Bring the lab up and keep it up until a signal or an operation ends it.

        Args:
            operations: what the command line may ask for.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stop())
        with contextlib.ExitStack() as stack:
            controls = control.serve(self.state, operations(self))
            stack.callback(controls.close)
            self.stage = "making the network"
            network.create(self.state)
            self.stage = "making the droplets' layer"
            layer = root.layer(self.state, self.settings.root, self.authority.certificate_file.read_bytes())
            self.fleet = Fleet(self.state, self.account, self.api.lock, self.settings.root, layer)
            stack.callback(self.fleet.close)
            self.stage = "starting services"
            stack.callback(self.services.close)
            self.services.start(self.hosts, self.authority)
            metadata = netns.make(self.state.net_namespace, lambda: tcp_listener(str(METADATA_ADDRESS), 80))
            stack.callback(Server(metadata, Metadata(self._facts).respond).close)
            relay = Relay(self._proxy_listener(), proxy(self._resolve, partial(netns.connect, self.state)))
            stack.callback(relay.close)
            self.proxy_port = relay.port
            self.stage = "up"
            _log.info("up: proxy on 127.0.0.1:%s, release %s", relay.port, self.settings.release)
            self._loop()

    def stop(self) -> None:
        """End the daemon; machines go on, `host.cleanup` ends those."""
        self._stop.set()
        self._wake.set()

    def in_main_thread(self, work: Callable[[], Any]) -> Any:
        """Have something done by the main thread, which children belong to, and give its result."""
        future: Future[Any] = Future()
        self._tasks.put((work, future))
        self._wake.set()
        return future.result()

    def touch(self) -> None:
        """Write the account and look at the machines soon; whoever changed the account holds its lock."""
        self._changed(self.account)

    def _loop(self) -> None:
        while not self._stop.is_set():
            self._wake.wait(_TICK_SECONDS)
            self._wake.clear()
            while not self._tasks.empty():
                work, future = self._tasks.get()
                try:
                    future.set_result(work())
                except Problem as problem:
                    future.set_exception(problem)
            try:
                self.services.watch()
                self.fleet.step()
            except (Problem, OSError) as error:
                _log.error("%s", error)

    def _load_account(self) -> Account:
        path = self.state.directory / "account.json"
        if path.exists():
            account = accounts.load(path.read_text())
            account.unkind = self.settings.unkind
            return account
        account = Account(self.settings.unkind)
        vpcs.add_defaults(account, time.time())
        return account

    def _changed(self, account: Account) -> None:
        write_atomic(self.state.directory / "account.json", account.dump().encode(), mode=0o600)
        for region in self.settings.regions:
            store = spaces(self.state, region)
            limited_keys.follow(account.spaces_keys.values(), store / "keys", store / "objects")
        self._wake.set()

    def _facts(self, address: str) -> Facts | None:
        with self.api.lock:
            for droplet in self.account.living():
                if droplet.public_address == address:
                    keys = tuple(self.account.keys[key].public_key for key in droplet.keys if key in self.account.keys)
                    vendor = vendor_data(self.account.unkind.held_dpkg_lock)
                    own = reserved_ips.of_droplet(self.account, droplet)
                    return Facts(droplet, self.fleet.port(droplet), keys, vendor, own.ip if own else None)
        return None

    def _resolve(self, host: str) -> str | None:
        if self.hosts.is_known(host) or host == str(SERVICES_ADDRESS):
            return str(SERVICES_ADDRESS)
        with self.api.lock:
            known = {droplet.public_address for droplet in self.account.living()} | self.account.reserved_ips.keys()
            return host if host in known else None

    def _proxy_listener(self) -> socket.socket:
        record: Mapping[str, Any] = read_record(self.state.directory / "proxy.json") or {}
        first = int(record.get("port", FIRST_PROXY_PORT))
        for port in (first, *range(FIRST_PROXY_PORT, FIRST_PROXY_PORT + 100)):
            with contextlib.suppress(OSError):
                listener = tcp_listener("127.0.0.1", port)
                write_record(self.state.directory / "proxy.json", {"port": port})
                return listener
        raise Problem(f"no port from {FIRST_PROXY_PORT} on is free on 127.0.0.1")
