"""Asks how reserved addresses behave: one that a droplet gets, loses and gets again, and that outlives it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from generator.cluster.kinds import address, tag
from generator.probe.document import REACHED
from generator.probe.droplets import Lags, is_at, is_free
from generator.probe.questions import NotAsked, check_permitted, told
from generator.probe.scope import Scope
from generator.probe.wire import Wire
from generator.provider.digitalocean import Cloud
from generator.provider.resources import Json, ReservedIp
from generator.provider.retry import Answer, Refused, inside

NOBODY = 1
"""The number of a droplet that no account of today has."""


class Addresses:
    """The addresses of a run, one at a time, each given to its droplet from the beginning; `facts` fill as it goes on.

    One that nobody has costs something, and nothing but a tag says whose it is.
    """

    def __init__(self, cloud: Cloud, wire: Wire, scope: Scope) -> None:
        self.facts: dict[str, Any] = {}
        self._cloud, self._wire, self._scope = cloud, wire, scope
        self._lags = Lags(cloud.clock, self.facts)
        self._ip = ""

    def prepare(self) -> None:
        """See whether there may be any.

        Raises:
            NotAsked: the token may not, or the account has as many as it may have.
        """
        check_permitted(self._cloud.try_to_create(address.COLLECTION, {"droplet_id": NOBODY}), "reserve addresses")
        limit = self._cloud.account()[0].address_limit
        self.facts["limit"] = limit
        if limit - len(address.listed(self._cloud)) < 1:
            raise NotAsked(f"the account has all of the {limit} reserved addresses that it may have")

    def ask(self, droplet: int) -> None:
        """Get an address for a droplet, and ask what ought to be refused; take it away and give it back."""
        self._get(droplet)
        self._await(is_at(droplet), "list_lag_ms", self._cloud.clock.now())
        assign = {"type": "assign", "droplet_id": droplet}
        self.facts["assigned_again"] = told(self._cloud.act(address.ACTIONS, self._ip, assign, self._where))
        second = self._cloud.try_to_create(address.COLLECTION, {"droplet_id": droplet})
        self.facts["second"] = second.status
        if second.status < 400:
            self._note(second)
        self.facts["unassigned"] = status = self._patiently(lambda: self._act({"type": "unassign"})).status
        if status >= 400:
            return
        self._await(is_free, "let_go_lag_ms", self._cloud.clock.now())
        self.facts["assigned"] = status = self._patiently(lambda: self._act(assign)).status
        if status < 400:
            self._await(is_at(droplet), "list_lag_ms", self._cloud.clock.now())

    def knock(self) -> None:
        """Come to the droplet by its address."""
        self._wire.is_open(self._ip, REACHED)

    def move(self, droplet: int) -> None:
        """Give back an address that the droplet has, and get another for it."""
        self.facts["released_while_held"] = status = self._release()
        if status < 400:
            self._get(droplet)

    def end(self) -> None:
        """See that the address outlives its droplet, which is gone, and give it back."""
        ended = self._cloud.clock.now()
        self.facts["survives"] = self._find() is not None
        if not self.facts["survives"]:
            return
        self._await(is_free, "let_go_lag_ms", ended)
        self.facts["released"] = self._release()

    def _get(self, droplet: int) -> None:
        body = {"droplet_id": droplet}
        answer = self._patiently(lambda: self._cloud.try_to_create(address.COLLECTION, body))
        self.facts["created"] = answer.status
        if not 0 < answer.status < 400:
            raise Refused(answer, "a reserved address")
        self._ip = self._note(answer)

    def _note(self, answer: Answer) -> str:
        """Note in the account that an address is the run's."""
        one = inside(address.COLLECTION.key, address.COLLECTION.read)(answer)
        tag.make(self._cloud, self._scope.address_tag(one.ip))
        return one.ip

    def _act(self, body: Json) -> Answer:
        return self._cloud.act(address.ACTIONS, self._ip, body, self._where)

    def _release(self) -> int:
        answer = self._patiently(lambda: self._cloud.try_to_delete(address.COLLECTION, self._ip, self._where))
        if answer.status < 400:
            self._await(lambda one: one is None, "list_lag_ms", self._cloud.clock.now())
        return answer.status

    def _patiently(self, ask: Callable[[], Answer]) -> Answer:
        """Ask something until nothing else is going on with the address or its droplet."""
        return self._lags.patiently(ask)

    def _await(self, has_come: Callable[[ReservedIp | None], bool], lag: str, since: datetime) -> None:
        self._lags.until(lambda: has_come(self._find()), lag, since)

    def _find(self) -> ReservedIp | None:
        return next((one for one in address.listed(self._cloud) if one.ip == self._ip), None)

    @property
    def _where(self) -> str:
        return f"address {self._ip}"
