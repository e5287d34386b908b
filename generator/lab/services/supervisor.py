"""Starts, watches, stops and starts again what the lab serves: the API, Spaces, registries, downloads, names."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

from generator.errors import Problem
from generator.files import make_private_directory
from generator.lab.services import front, programs
from generator.lab.services.authority import Authority
from generator.lab.services.children import Child, Program
from generator.lab.services.front import Front
from generator.lab.services.hosts import Hosts
from generator.lab.services.registry_token import TokenService
from generator.lab.settings import Credentials, Settings
from generator.lab.state import SERVICES_ADDRESS, State
from generator.lab.webserver import Responder, Server, unix_listener

SERVICES = ("api", "spaces", "registry", "downloads")
"""What can be stopped and started by hand, to play an outage."""
_RESTART_SECONDS = 2.0
_log = logging.getLogger(__name__)


class Services:
    """The lab's services. A service is stopped while its flag lies in the state directory, also for a later daemon.

    All methods belong to the daemon's main thread.
    """

    def __init__(self, state: State, settings: Settings, keys: Credentials, api: Responder) -> None:
        self._state = state
        self._settings = settings
        self._api = api
        self._keys = keys
        self._servers: dict[str, Server] = {}
        self._children: dict[str, list[Child]] = {}
        self._restarts: dict[str, float] = {}
        self._stopped = state.directory / "run" / "stopped"
        self._sockets = state.directory / "run"
        for path in (self._sockets, self._stopped, state.directory / "logs"):
            make_private_directory(path)

    def start(self, hosts: Hosts, authority: Authority) -> None:
        """Start everything but what was stopped by hand.

        Raises:
            Problem: something does not come up.
        """
        self._children = {name: self._make(found) for name, found in self._programs(hosts, authority).items()}
        self._servers["token"] = Server(unix_listener(self._sockets / "token.sock"), TokenService().respond)
        for name in ("spaces", "registry", "names", "front"):
            if not self._is_stopped(name):
                self._run(name)
        if not self._is_stopped("api"):
            self._serve_api()

    def switch(self, name: str, *, on: bool) -> None:
        """Stop a service or start it again.

        Raises:
            Problem: there is no such service, or it does not come up.
        """
        if name not in SERVICES:
            raise Problem(f"`{name}` is not a service", hint=f"services: {', '.join(SERVICES)}")
        flag = self._stopped / name
        if on:
            flag.unlink(missing_ok=True)
        else:
            flag.touch()
        if name == "api":
            if not on and "api" in self._servers:
                self._servers.pop("api").close()
            elif on and "api" not in self._servers:
                self._serve_api()
        elif on:
            self._run(name)
        else:
            for child in self._children.get(name, ()):
                child.stop()
        _log.info("%s is %s", name, "started" if on else "stopped")

    def watch(self) -> None:
        """Start again what ended by itself, not more often than every two seconds."""
        for name, children in self._children.items():
            for child in children:
                if child.is_running or self._is_stopped(name):
                    continue
                if time.monotonic() < self._restarts.get(child.program.name, 0):
                    continue
                _log.error("%s ended and is started again", child.program.name)
                self._restarts[child.program.name] = time.monotonic() + _RESTART_SECONDS
                child.start()

    def status(self) -> Mapping[str, str]:
        """Say of each service whether it is `running`, `stopped` or `failed`."""
        found = {}
        for name in (*SERVICES, "names", "front"):
            children = self._children.get(name, [])
            if self._is_stopped(name):
                found[name] = "stopped"
            else:
                found[name] = "running" if all(child.is_running for child in children) else "failed"
        return found

    def close(self) -> None:
        """Stop everything."""
        for server in self._servers.values():
            server.close()
        self._servers.clear()
        for name in ("front", "names", "registry", "spaces"):
            for child in self._children.get(name, ()):
                child.stop()

    def _programs(self, hosts: Hosts, authority: Authority) -> dict[str, list[Program]]:
        directory, settings = self._state.directory, self._settings
        downloads = directory / "downloads"
        shutil.rmtree(downloads, ignore_errors=True)
        front.link_downloads(downloads, settings.files)
        certificate, key = authority.issue(hosts.certificate_names)
        work = directory / "front"
        configuration = front.configuration(
            Front(
                address=str(SERVICES_ADDRESS),
                port=443,
                plain_port=80,
                certificate=certificate,
                key=key,
                hosts=hosts,
                downloads=downloads,
                storage=settings.registries,
                regions=settings.regions,
                sockets=self._sockets,
                stopped=self._stopped,
                work=work,
                log=directory / "logs" / "front.jsonl",
            )
        )
        keys = (self._keys.spaces_key_id, self._keys.spaces_secret)
        return {
            "front": [programs.front(configuration, work)],
            "names": [programs.names(hosts, directory / "names")],
            "spaces": [
                programs.spaces(settings.tools["versitygw"], region, keys, spaces(self._state, region), self._sockets)
                for region in settings.regions
            ],
            "registry": [
                programs.registry(settings.tools["registry"], name, storage, directory / "registry", self._sockets)
                for name, storage in sorted(settings.registries.items())
            ],
        }

    def _make(self, found: list[Program]) -> list[Child]:
        return [Child(program, self._log_of(program.name), self._state.net_namespace) for program in found]

    def _log_of(self, name: str) -> Path:
        return self._state.directory / "logs" / f"{name}.log"

    def _run(self, name: str) -> None:
        for child in self._children.get(name, ()):
            child.start()
        for child in self._children.get(name, ()):
            child.await_ready()

    def _serve_api(self) -> None:
        self._servers["api"] = Server(unix_listener(self._sockets / "api.sock"), self._api)

    def _is_stopped(self, name: str) -> bool:
        return (self._stopped / name).exists()


def spaces(state: State, region: str) -> Path:
    """Give the directory that holds a region's buckets (`objects`) and old versions (`versions`)."""
    return state.directory / "spaces" / region
