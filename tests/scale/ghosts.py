"""Droplets that exist in the lab's account alone, and a world for them whose hours pass in seconds.

A ghost does what a node does when its time has come: it unseals its bundle, follows the roster, joins, and reports with
its own key. Nothing waits for real: the clock goes on when a client sleeps or a request takes its time.
"""

from __future__ import annotations

import heapq
import random
import ssl
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from generator.clock import stamp
from generator.documents import roster as rosters
from generator.lab.account.account import Account, Droplet
from generator.lab.unkindness import Unkindness
from generator.lab.webserver import Call, Reply, Server, tcp_listener
from generator.plan.decide import Plan
from tests.contract.world import Machine, World, launch_part
from tests.phases import phases_of
from tests.scale.store import Store

REAL = Unkindness(boot_lag=60, network_lag=6, held_dpkg_lock=0)
"""The provider as it is: its limits, and lags of the size that people report."""
API_SECONDS, STORE_SECONDS = 0.1, 0.02
"""What one request takes."""
SECONDS = {
    "prepare": 10,
    "secrets": 1,
    "binaries": 12,
    "roster": 1,
    "mesh": 1,
    "etcd": 3,
    "api": 5,
    "runtime": 2,
    "volumes": 1,
    "kubelet": 3,
    "node": 5,
    "addons": 25,
}
"""How long each phase takes, give or take a half."""
RETRY, FOLLOW = 2.0, 15.0
"""After so many seconds a phase that is not over is tried again, and the roster is read again."""


@dataclass(frozen=True)
class Heard:
    """What the store answers a ghost."""

    status: int
    data: bytes


class Ghost(Machine):
    """One droplet without a machine."""

    world: GhostWorld

    def _begin(self) -> None:
        self._launch = launch_part(self.droplet.user_data)
        self._phases = phases_of(control_plane=self.node.is_control_plane)
        self._chance = random.Random(self.droplet.id)
        self._entered: dict[str, float] = {}
        self._open = list(self._phases)
        self.due = self.droplet.active

    def end(self) -> None:
        """Have nothing to wait for."""

    def step(self) -> None:
        """Do what is due, and say when the next thing is."""
        now = self.world.now()
        if not self._open:
            self._follow(self._launch)
            self.due = now + FOLLOW
        elif self._open[0] not in self._entered:
            self._enter(self._open[0])
        elif not self._pass(self._open[0], self._launch):
            self.due = now + RETRY
        else:
            self.done = self._open.pop(0)
            if self._open:
                self._enter(self._open[0])
            else:
                self._report(self._launch["status_url"], self.done, "done")
                self.due = now + FOLLOW

    def _enter(self, phase: str) -> None:
        self._entered[phase] = self.world.now()
        self._report(self._launch["status_url"], phase, "running")
        self.due = self.world.now() + SECONDS[phase] * self._chance.uniform(0.5, 1.5)

    def _since(self, phase: str) -> str | None:
        entered = self._entered.get(phase)
        return stamp(datetime.fromtimestamp(entered, UTC)) if entered else None

    def _verified(self, body: bytes) -> rosters.Roster:
        digest = sha256(body).hexdigest()
        if digest not in self.world.rosters:
            self.world.rosters[digest] = super()._verified(body)
        self.generation = self.world.rosters[digest].generation
        return self.world.rosters[digest]


class GhostWorld(World):
    """A provider, a store and an API server for ghosts; `asked` counts requests by method, path and status.

    Args:
        told: hears the time whenever it goes on.
    """

    def __init__(self, directory: Path, stack: ExitStack, unkind: Unkindness, told: Callable[[float], None]) -> None:
        self._told = told
        self._time = self.began = time.time()
        self._next: list[tuple[float, int]] = []
        self.store = Store(self.now)
        self.rosters: dict[str, rosters.Roster] = {}
        self.asked: Counter[tuple[str, str, int]] = Counter()
        self.limited: list[float] = []
        """When a request was refused for its number."""
        self.stored: Counter[str] = Counter()
        """Requests to the store, by method."""
        super().__init__(directory, None, stack, unkind)
        self.http: Any = self

    def now(self) -> float:
        """Tell the time, which goes on by `go_on` alone."""
        return self._time

    def go_on(self, seconds: float) -> None:
        """Let time pass, and let each ghost do at its time what is due."""
        with self.api.lock:
            until = self._time + seconds
            while self._next and self._next[0][0] <= until:
                due, number = heapq.heappop(self._next)
                self._time = max(self._time, due)
                ghost = self.machines[number]
                if ghost.alive:
                    assert isinstance(ghost, Ghost)
                    ghost.step()
                    heapq.heappush(self._next, (max(ghost.due, self._time), number))
            self._time = until
            self._told(until)

    def request(self, method: str, url: str, body: bytes = b"") -> Heard:
        """Answer a ghost, whose requests are nobody's else."""
        parts = urlsplit(url)
        reply = self.store.respond(Call(method, unquote(parts.path), dict(parse_qsl(parts.query)), body=body))
        return Heard(reply.status, reply.body)

    def clear(self) -> None:
        """Have no connections to close."""

    def _begin(self, droplet: Droplet, plan: Plan) -> Machine:
        ghost = Ghost(self, droplet, plan)
        heapq.heappush(self._next, (ghost.due, droplet.id))
        return ghost

    def _changed(self, account: Account) -> None:
        """Begin and end ghosts; the store has no users that would have to follow."""
        self._live_and_die(account)

    def _open_store(self, stack: ExitStack, tls: ssl.SSLContext) -> int:
        server = Server(tcp_listener("127.0.0.1", 0), self._keep, tls)
        stack.callback(server.close)
        return server.port

    def _keep(self, call: Call) -> Reply:
        self.go_on(STORE_SECONDS)
        self.stored[call.method] += 1
        return self.store.respond(call)

    def _respond(self, call: Call) -> Reply:
        self.go_on(API_SECONDS)
        reply = super()._respond(call)
        self.asked[call.method, _kind(call.path), reply.status] += 1
        if reply.status == 429:
            self.limited.append(self.now())
        return reply


def _kind(path: str) -> str:
    """Give a path without what is one object's own.

    >>> _kind("/v2/droplets/3164007"), _kind("/v2/account/keys")
    ('/v2/droplets/…', '/v2/account/keys')
    """
    parts = path.split("/")
    return "/".join((*parts[:3], *(one if one in ("keys", "actions", "members") else "…" for one in parts[3:])))


@contextmanager
def haunted(
    directory: Path, nodes: int, told: Callable[[float], None], unkind: Unkindness = REAL
) -> Iterator[GhostWorld]:
    """Make a world whose account may have so many droplets, and end it."""
    with ExitStack() as stack:
        yield GhostWorld(directory, stack, replace(unkind, droplet_limit=nodes), told)
