"""Orders a probe's droplets and watches when the API knows of them, and for how long after their end.

A time is that of the last look which still showed the past, in whole milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from generator import waiting
from generator.clock import Clock
from generator.cluster import fleet
from generator.errors import Problem
from generator.probe.questions import told
from generator.probe.scope import Scope
from generator.probe.wire import Wire
from generator.provider.digitalocean import Cloud
from generator.provider.resources import Droplet, Json
from generator.provider.retry import LOOKS, Answer, Refused, Unclear, inside

PAUSE, LIMIT = 1.0, 600.0
"""Seconds between looks, and for how long it is looked."""
POLLS = 300 * (PAUSE,)
"""How long what a droplet has, or has lost, is looked for in a list."""
BUSY = "pending"
SSH = 22
FAILURES = 4


@dataclass
class Lags:
    """What was measured of all droplets of a run: the longest of each, in ms."""

    clock: Clock
    found: dict[str, int] = field(default_factory=dict)

    def note(self, name: str, since: datetime) -> None:
        """Note that something shows the past, so long after it changed."""
        passed = int((self.clock.now() - since).total_seconds() * 1000)
        self.found[name] = max(self.found.get(name, 0), passed)

    def begin(self, *names: str) -> None:
        """Note that something is looked at; it may never show the past."""
        for name in names:
            self.found.setdefault(name, 0)

    def until(self, has_come: Callable[[], bool], name: str, since: datetime) -> None:
        """Look until something has come, and note for how long it had not."""
        self.begin(name)

        def look() -> bool | None:
            if has_come():
                return True
            self.note(name, since)
            return None

        waiting.until(look, POLLS, self.clock.sleep)

    def patiently(self, ask: Callable[[], Answer]) -> Answer:
        """Ask something until nothing else is going on, and note how long that was; status 0 where it never ends."""
        since = self.clock.now()
        self.begin("busy_lag_ms")

        def look() -> Answer | None:
            answer = ask()
            if answer.status == 422 and BUSY in told(answer):
                self.note("busy_lag_ms", since)
                return None
            return answer

        return waiting.until(look, POLLS, self.clock.sleep) or Answer(0, {}, {})


class HasDroplet(Protocol):
    """What droplets come and go with; `droplet` has it, if any does."""

    @property
    def droplet(self) -> int | None:
        """Give the number of the one that has it."""


def is_at(droplet: int) -> Callable[[HasDroplet | None], bool]:
    """Tell of something whether a droplet has it."""
    return lambda one: one is not None and one.droplet == droplet


def is_free(one: HasDroplet | None) -> bool:
    """Tell whether something is there, and no droplet has it."""
    return one is not None and one.droplet is None


class Orders:
    """Makes droplets and watches them."""

    def __init__(self, cloud: Cloud, wire: Wire, scope: Scope, lags: Lags) -> None:
        self._cloud, self._wire, self._scope, self._lags = cloud, wire, scope, lags
        self._number = self.failed = 0
        self.was_ever_open = False

    def make(self, order: Callable[[int], Json], fresh_key: datetime) -> tuple[int, Droplet]:
        """Order a droplet until one is made by an order that was answered; give the order's number, too.

        An order that fails may have made one as well: each has a number, so that none is taken for another's.

        Args:
            order: writes the request with that number.
            fresh_key: when its SSH key was registered.

        Raises:
            Problem: the provider refuses, or gives no clear answer again and again.
        """
        lags = self._lags
        lags.begin("key_lag_ms")
        while self.failed < FAILURES:
            self._number += 1
            body = order(self._number)
            where = f"droplet {body['name']}"
            try:
                answer = self._cloud.try_to_create(fleet.COLLECTION, body)
            except Unclear as error:
                raise Problem(f"DigitalOcean gave no answer: {error}", where=where) from error
            if answer.status >= 500:
                self.failed += 1
                # lists show it only later, and nothing of it may be taken for the next one's
                waiting.until(lambda: self._listed() or None, LOOKS, lags.clock.sleep)
            elif answer.status == 422 and "key identifier" in str(answer.body.get("message")):
                lags.note("key_lag_ms", fresh_key)
                if lags.found["key_lag_ms"] > LIMIT * 1000:
                    raise Refused(answer, where)
                lags.clock.sleep(PAUSE)
            elif answer.status >= 400:
                raise Refused(answer, where)
            else:
                return self._number, inside(fleet.COLLECTION.key, fleet.COLLECTION.read)(answer)
        raise Problem(f"DigitalOcean answered {FAILURES} orders with an error of its own", where=self._scope.tag)

    def watch(self, made: Droplet, say: Callable[[str], None], placed: Callable[[str], None]) -> Droplet:
        """Look until reads, lists, status and addresses tell of a new droplet.

        Args:
            placed: is told its VPC address as soon as that is known.

        Raises:
            Problem: they don't for ten minutes.
        """
        lags, born = self._lags, self._lags.clock.now()
        lags.begin("read_lag_ms", "list_lag_ms", "boot_lag_ms", "network_lag_ms")
        active: datetime | None = None
        private: str | None = None
        while (lags.clock.now() - born).total_seconds() < LIMIT:
            seen = fleet.read(self._cloud, made.id)
            listed = made.id in self._listed()
            if seen is None:
                lags.note("read_lag_ms", born)
            if not listed:
                lags.note("list_lag_ms", born)
            if seen is not None:
                if private is None and seen.private is not None:
                    placed(private := seen.private)
                self.knock(seen)
                if seen.status == "new":
                    lags.note("boot_lag_ms", born)
                elif active is None:
                    active = lags.clock.now()
                    say(f"{made.name} is active")
                if active is not None and not seen.settled:
                    lags.note("network_lag_ms", active)
                if listed and seen.settled:
                    return seen
            lags.clock.sleep(PAUSE)
        raise Problem(f"has no addresses after {LIMIT / 60:.0f} minutes", where=f"droplet {made.name}")

    def knock(self, seen: Droplet) -> None:
        """See whether a port that no rule names is open, though a firewall was there before the droplet."""
        if seen.public and self._wire.is_open(seen.public, SSH):
            self.was_ever_open = True

    def end(self, made: Sequence[Droplet]) -> None:
        """Delete the run's droplets and look until neither reads nor lists show any.

        Raises:
            Problem: they do for ten minutes.
        """
        lags, numbers = self._lags, {one.id for one in made}
        for one in {one.id: one for one in (*made, *self._listed().values())}.values():
            fleet.erase(self._cloud, one)
        ended = lags.clock.now()
        while (lags.clock.now() - ended).total_seconds() < LIMIT:
            is_read = any(fleet.read(self._cloud, number) is not None for number in numbers)
            is_listed = bool(numbers & self._listed().keys())
            if not is_read and not is_listed:
                return
            if is_read:
                lags.note("read_lag_ms", ended)
            if is_listed:
                lags.note("list_lag_ms", ended)
            lags.clock.sleep(PAUSE)
        raise Problem("are not gone ten minutes after their deletion", where=f"droplets tagged {self._scope.tag}")

    def _listed(self) -> Mapping[int, Droplet]:
        return {one.id: one for one in fleet.listed(self._cloud, self._scope.tag)}
